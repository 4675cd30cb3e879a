"""Telephone numbers as people dial them, into the international digits that Matrix keeps (MSISDN: E.164 without `+`).

Knows calling codes and trunk prefixes, not which numbers exist: whether one does is proved by a message to it.

Spec: appendices#phone-numbers
"""

import re

_SEPARATORS = re.compile(r"[\s().\-/\u2010-\u2015\u00a0]")
_DIGITS_MIN = 7
_DIGITS_MAX = 15
_TYPED_MAX = 40

# Country → calling code.
_CODES: dict[str, str] = {
    country: code
    for code, countries in {
        "1": "US CA PR DO AS BS BB BM VG KY DM GD GU JM MS MP KN LC VC SX TT TC VI AG AI",
        "7": "RU KZ",
        "20": "EG", "27": "ZA", "30": "GR", "31": "NL", "32": "BE", "33": "FR", "34": "ES", "36": "HU", "39": "IT VA",
        "40": "RO", "41": "CH", "43": "AT", "44": "GB GG IM JE UK", "45": "DK", "46": "SE", "47": "NO SJ", "48": "PL",
        "49": "DE", "51": "PE", "52": "MX", "53": "CU", "54": "AR", "55": "BR", "56": "CL", "57": "CO", "58": "VE",
        "60": "MY", "61": "AU CX CC", "62": "ID", "63": "PH", "64": "NZ PN", "65": "SG", "66": "TH", "81": "JP",
        "82": "KR", "84": "VN", "86": "CN", "90": "TR", "91": "IN", "92": "PK", "93": "AF", "94": "LK", "95": "MM",
        "98": "IR", "211": "SS", "212": "MA EH", "213": "DZ", "216": "TN", "218": "LY", "220": "GM", "221": "SN",
        "222": "MR", "223": "ML", "224": "GN", "225": "CI", "226": "BF", "227": "NE", "228": "TG", "229": "BJ",
        "230": "MU", "231": "LR", "232": "SL", "233": "GH", "234": "NG", "235": "TD", "236": "CF", "237": "CM",
        "238": "CV", "239": "ST", "240": "GQ", "241": "GA", "242": "CG", "243": "CD", "244": "AO", "245": "GW",
        "246": "IO", "247": "AC", "248": "SC", "249": "SD", "250": "RW", "251": "ET", "252": "SO", "253": "DJ",
        "254": "KE", "255": "TZ", "256": "UG", "257": "BI", "258": "MZ", "260": "ZM", "261": "MG", "262": "RE YT TF",
        "263": "ZW", "264": "NA", "265": "MW", "266": "LS", "267": "BW", "268": "SZ", "269": "KM", "290": "SH TA",
        "291": "ER", "297": "AW", "298": "FO", "299": "GL", "350": "GI", "351": "PT", "352": "LU", "353": "IE",
        "354": "IS", "355": "AL", "356": "MT", "357": "CY", "358": "FI AX", "359": "BG", "370": "LT", "371": "LV",
        "372": "EE", "373": "MD", "374": "AM", "375": "BY", "376": "AD", "377": "MC", "378": "SM", "380": "UA",
        "381": "RS", "382": "ME", "383": "XK", "385": "HR", "386": "SI", "387": "BA", "389": "MK", "420": "CZ",
        "421": "SK", "423": "LI", "500": "FK GS", "501": "BZ", "502": "GT", "503": "SV", "504": "HN", "505": "NI",
        "506": "CR", "507": "PA", "508": "PM", "509": "HT", "590": "GP BL MF", "591": "BO", "592": "GY", "593": "EC",
        "594": "GF", "595": "PY", "596": "MQ", "597": "SR", "598": "UY", "599": "CW BQ", "670": "TL", "672": "NF AQ",
        "673": "BN", "674": "NR", "675": "PG", "676": "TO", "677": "SB", "678": "VU", "679": "FJ", "680": "PW",
        "681": "WF", "682": "CK", "683": "NU", "685": "WS", "686": "KI", "687": "NC", "688": "TV", "689": "PF",
        "690": "TK", "691": "FM", "692": "MH", "850": "KP", "852": "HK", "853": "MO", "855": "KH", "856": "LA",
        "880": "BD", "886": "TW", "960": "MV", "961": "LB", "962": "JO", "963": "SY", "964": "IQ", "965": "KW",
        "966": "SA", "967": "YE", "968": "OM", "970": "PS", "971": "AE", "972": "IL", "973": "BH", "974": "QA",
        "975": "BT", "976": "MN", "977": "NP", "992": "TJ", "993": "TM", "994": "AZ", "995": "GE", "996": "KG",
        "998": "UZ",
    }.items()
    for country in countries.split()
}  # fmt: skip

_NORTH_AMERICA = [country for country, code in _CODES.items() if code == "1"]
# What is dialled before a national number within the country and left out from abroad; elsewhere it is "0".
_TRUNK: dict[str, str] = {
    **dict.fromkeys(("RU", "KZ", "BY", "TM"), "8"),
    **dict.fromkeys(_NORTH_AMERICA, "1"),
    "HU": "06",
    "MX": "01",
    # The first 0 belongs to the number, or there is none to leave out.
    **dict.fromkeys(("IT", "SM", "VA", "CI", "GA", "CG", "ES", "PT", "PL", "CZ", "DK", "NO", "SJ", "GR", "LU", "MC"), ""),
    **dict.fromkeys(("EE", "LV", "SG", "HK", "MO"), ""),
}
# How a call abroad begins; elsewhere "00".
_ABROAD = {
    **dict.fromkeys(_NORTH_AMERICA, "011"),
    **dict.fromkeys(("RU", "KZ", "BY"), "810"),
    "AU": "0011",
    "JP": "010",
}


def parse_msisdn(country: str, number: str) -> str | None:
    """The international digits of a number as dialled from a country; None if it cannot be one.

    country: ISO 3166 alpha-2, in capitals. A number that begins with `+` is international wherever it is dialled.
    """
    code = _CODES.get(country)
    if code is None or len(number) > _TYPED_MAX:
        return None
    digits = _SEPARATORS.sub("", number)
    is_international = digits.startswith("+")
    digits = digits.removeprefix("+")
    if not (digits.isascii() and digits.isdecimal()):
        return None
    abroad = _ABROAD.get(country, "00")
    if not is_international and digits.startswith(abroad):
        is_international, digits = True, digits.removeprefix(abroad)
    whole = digits if is_international else code + _national(country, digits)
    return whole if _DIGITS_MIN <= len(whole) <= _DIGITS_MAX and not whole.startswith("0") else None


def _national(country: str, digits: str) -> str:
    trunk = _TRUNK.get(country, "0")
    return digits.removeprefix(trunk)
