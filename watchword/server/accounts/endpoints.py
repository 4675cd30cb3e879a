"""Every door of accounts. The service to mount them with is `assembly.Accounts`."""

from watchword.edge.endpoint import Endpoint
from watchword.server.accounts import (
    endpoints_account,
    endpoints_account_data,
    endpoints_devices,
    endpoints_fallback,
    endpoints_login,
    endpoints_old_names,
    endpoints_profile,
    endpoints_register,
)
from watchword.server.accounts.threepids import endpoints as endpoints_threepids

ENDPOINTS: tuple[Endpoint, ...] = (
    *endpoints_register.ENDPOINTS,
    *endpoints_fallback.ENDPOINTS,
    *endpoints_login.ENDPOINTS,
    *endpoints_account.ENDPOINTS,
    *endpoints_devices.ENDPOINTS,
    *endpoints_profile.ENDPOINTS,
    *endpoints_old_names.ENDPOINTS,
    *endpoints_account_data.ENDPOINTS,
    *endpoints_threepids.ENDPOINTS,
)
