"""Why somebody does not get what they ask for, each with its status of HTTP."""

from __future__ import annotations

from typing import ClassVar


class RefusedError(Exception):
    """What somebody sends cannot be, in a line."""

    STATUS: ClassVar[int] = 400


class ForbiddenError(RefusedError):
    """Somebody asks for what is another's, or for what their role does not do."""

    STATUS = 403


class UnknownError(RefusedError):
    """There is no such unit, version or picture, or none that this person sees."""

    STATUS = 404
