"""Decides who may moderate comments and lead videos: whoever knows the operator's token."""

import hmac
from dataclasses import dataclass

from comment_service.core.errors import ErasingOff, NotAuthorized


@dataclass(frozen=True, slots=True)
class Rights:
    admin_token: str
    """Empty: there is no operator here."""

    def require_to_moderate(self, authorization: str | None) -> None:
        """authorization: the header, its bytes decoded as Latin-1. Raises ErasingOff, NotAuthorized."""
        if not self.admin_token:
            raise ErasingOff
        self._require_token(authorization)

    def require_to_lead_videos(self, authorization: str | None) -> None:
        """Anybody may if no token is set, as in a try-out. Raises NotAuthorized."""
        if self.admin_token:
            self._require_token(authorization)

    def _require_token(self, authorization: str | None) -> None:
        scheme, _, token = (authorization or "").partition(" ")
        sent = token.strip(" \t").encode("latin-1", "replace")
        # Takes as long for a nearly right token as for any other.
        right = [hmac.compare_digest(sent, known) for known in self._as_sent()]
        if scheme.lower() != "bearer" or not any(right):
            raise NotAuthorized

    def _as_sent(self) -> list[bytes]:
        """The token's bytes in a header. Letters beyond ASCII have no one encoding there: curl sends UTF-8, browsers
        send Latin-1."""
        utf8 = self.admin_token.encode("utf-8", "surrogateescape")
        try:
            return [utf8, self.admin_token.encode("latin-1")]
        except UnicodeEncodeError:
            return [utf8]
