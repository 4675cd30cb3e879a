"""E-mail addresses and telephone numbers of users: proving them, adding them, publishing them at identity servers.

Spec: client-server-api#adding-account-administrative-contact-information, appendices#3pid-types

Invariants: an address belongs to one account; it is stored in its canonical form (e-mail addresses case-folded whole,
telephone numbers as international digits) and never logged; a proof is good for the purpose alone that it was asked for;
whoever asks for a message to an address does not learn whether somebody here has it.

Deliberately absent: invitations by address (`rooms`), and being an identity server.
"""
