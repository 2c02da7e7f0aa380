"""The list of layers that an mlx-lm model runs through, and what may stand in for a layer."""

from typing import Any

from yofo_mlx.errors import RunError


class StandIn:
    """Stands for a layer in a model's list; the model's own code cannot tell."""

    def __init__(self, layer: Any) -> None:
        self._layer = layer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._layer, name)

    @property  # type: ignore[misc]
    def __class__(self) -> type:  # some models ask which kind a layer is
        return type(self._layer)


def layer_list(model: Any) -> list[Any]:
    """Return the list that a model runs through; `model.layers` may be a copy of it."""
    last = model.layers[-1]
    waiting: list[Any] = [model]
    for one in waiting:  # grows meanwhile, the outermost first: few of many modules are looked at
        if isinstance(one, list) and one and one[-1] is last:
            return one
        if isinstance(one, dict | list):  # a module is a dict
            waiting += one.values() if isinstance(one, dict) else one
    raise RunError(
        f"no list of layers found in {type(model).__module__}", "this model is not supported"
    )


def lists_of_layers(model: Any) -> list[list[Any]]:
    """Return the lists of a model that hold its layers; most have one."""
    layers = {id(layer) for layer in model.layers}
    return [
        value
        for module in model.modules()
        for value in module.values()
        if isinstance(value, list) and any(id(item) in layers for item in value)
    ]
