"""Model files of several classes: one file that holds the model of each class.

A class has a network of its own, so that classes can differ in size and none is trained at the
expense of another.

- `save_class_models`: join model files to one.
- `list_classes`: names of the classes of a file; empty for other files.
- `extract_class_models`: write the model of each class to a folder.
"""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from cryopick.errors import FormatError
from cryopick.model.model_file import load_model
from cryopick.runs.atomic_write import atomic_write

__all__ = ["extract_class_models", "list_classes", "save_class_models"]

_KEY = "cryopick_classes"  # of the metadata


def save_class_models(models: Mapping[str, Path], path: Path, *, overwrite: bool = False) -> None:
    """Join the model files of several classes.

    Args:
        models: Model file of each class, in the order of the class numbers.
        path: File to write.
        overwrite: Overwrite an existing file.

    Raises:
        OutputExistsError: `path` exists and `overwrite` is false.
    """
    tensors = {
        f"class {number}": np.frombuffer(model.read_bytes(), np.uint8)
        for number, model in enumerate(models.values(), start=1)
    }
    first = load_model(next(iter(models.values())))
    description = {
        "format": 1,
        "network": {"name": f"{len(models)} networks, one for each class"},
        "diameter_ang": first.diameter_ang,
        "classes": list(models),
        "summary": {},
    }
    metadata = {_KEY: json.dumps(list(models)), "cryopick": json.dumps(description)}
    with atomic_write(path, overwrite=overwrite) as temporary:
        temporary.write_bytes(save(tensors, metadata))


def list_classes(path: Path) -> list[str]:
    """List the classes of a model file; empty if it is the model of one kind of particles."""
    if not path.is_file():
        return []
    try:
        with safe_open(path, framework="numpy") as file:
            names = json.loads((file.metadata() or {}).get(_KEY, "[]"))
    except (SafetensorError, OSError, ValueError, RecursionError):
        return []
    return [str(name) for name in names] if isinstance(names, list) else []


def extract_class_models(path: Path, folder: Path) -> dict[str, Path]:
    """Write the model of each class to a folder, and return the files by class.

    A file with the same content is not written again, so that its time stays.

    Raises:
        FormatError: The file is damaged.
    """
    models = {}
    try:
        with safe_open(path, framework="numpy") as file:
            for number, name in enumerate(list_classes(path), start=1):
                content = file.get_tensor(f"class {number}").astype(np.uint8).tobytes()
                models[name] = folder / f"class_{number}.safetensors"
                if not (models[name].is_file() and models[name].read_bytes() == content):
                    with atomic_write(models[name], overwrite=True) as temporary:
                        temporary.write_bytes(content)
    except SafetensorError as error:
        raise FormatError(
            f"{path}: the model file is damaged ({error}); train the model again"
        ) from error
    return models
