"""Whether an address may come in: deny beats allow, an empty allow list admits everyone who isn't denied."""

from sallyport.access.networks import NetworkSet, parse_address


class AccessLists:
    """The global lists, looked at before any credential is."""

    def __init__(self, *, allow: NetworkSet, deny: NetworkSet) -> None:
        self._allow = allow
        self._deny = deny

    def refusal(self, source_ip: str) -> str | None:
        """Give the reason for the log why the address is refused, None if it may pass.

        What can't be read as an address is refused: an IP list must not be passed by a malformed one.
        """
        try:
            version, number = parse_address(source_ip)
        except ValueError:
            return "address_unreadable"
        if self._deny.contains(version, number):
            return "denied_by_list"
        if len(self._allow) and not self._allow.contains(version, number):
            return "not_on_allow_list"
        return None
