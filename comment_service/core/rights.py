"""Who may order more than a comment: whoever knows the operator's token. A core: it compares, and knows no request."""

import hmac
from dataclasses import dataclass

from comment_service.core.errors import ErasingOff, NotAuthorized


@dataclass(frozen=True, slots=True)
class Rights:
    admin_token: str
    """empty: nobody is an operator here"""

    def require_to_erase(self, authorization: str | None) -> None:
        """authorization: the header as it came. Raises ErasingOff, NotAuthorized."""
        if not self.admin_token:
            raise ErasingOff
        self._require_token(authorization)

    def require_to_lead_videos(self, authorization: str | None) -> None:
        """Without a token set, anybody may, as anybody may choose a name: a try-out. Raises NotAuthorized."""
        if self.admin_token:
            self._require_token(authorization)

    def _require_token(self, authorization: str | None) -> None:
        scheme, _, token = (authorization or "").partition(" ")
        # Takes as long for a nearly right token as for any other one.
        right = hmac.compare_digest(token.strip().encode("utf-8", "surrogateescape"), self.admin_token.encode())
        if scheme.lower() != "bearer" or not right:
            raise NotAuthorized
