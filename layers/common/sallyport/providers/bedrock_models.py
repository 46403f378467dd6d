"""Bedrock's names of models as paths: an id may be an ARN, with colons and slashes.

Source: Amazon Bedrock API Reference, Converse and InvokeModel: the `modelId` of their URIs.
"""

import re

from sallyport.errors import ModelNotFoundError

MAX_ID_LENGTH = 2048

_ID = re.compile(rf"[A-Za-z0-9][A-Za-z0-9.:/_-]{{0,{MAX_ID_LENGTH - 1}}}")
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


def model_path(model: str, action: str) -> str:
    """Give the path of an action on a model: `/model/<id, percent-encoded>/<action>`, the id always one segment.

    Raises `ModelNotFoundError` for what can't be a model's id.
    """
    if _ID.fullmatch(model) is None:
        raise ModelNotFoundError("This model does not exist, or you do not have access to it.", param="model")
    encoded = "".join(char if char in _UNRESERVED else f"%{ord(char):02X}" for char in model)
    return f"/model/{encoded}/{action}"
