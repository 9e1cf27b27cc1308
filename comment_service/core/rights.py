"""Decides who may moderate comments and lead videos: whoever knows the operator's token."""

import hmac
from dataclasses import dataclass

from comment_service.core.errors import ErasingOff, NotAuthorized


@dataclass(frozen=True, slots=True)
class Rights:
    admin_token: str
    """Empty: there is no operator here."""

    def require_to_moderate(self, authorization: str | None) -> None:
        """authorization: the header as it came. Raises ErasingOff, NotAuthorized."""
        if not self.admin_token:
            raise ErasingOff
        self._require_token(authorization)

    def require_to_lead_videos(self, authorization: str | None) -> None:
        """Anybody may if no token is set, as in a try-out. Raises NotAuthorized."""
        if self.admin_token:
            self._require_token(authorization)

    def _require_token(self, authorization: str | None) -> None:
        scheme, _, token = (authorization or "").partition(" ")
        # Takes as long for a nearly right token as for any other.
        right = hmac.compare_digest(token.strip().encode("utf-8", "surrogateescape"), self.admin_token.encode())
        if scheme.lower() != "bearer" or not right:
            raise NotAuthorized
