"""Features from a network in a file: ONNX (with onnxruntime, the extra `gansaku[onnx]`) or TorchScript, whose code is run.

What its pictures look like is said in a TOML file beside it, `net.onnx.toml` for `net.onnx`; each line may be left out:

    size = 224              # or [height, width]; else the file's own, else the pictures'
    layout = "nchw"         # or "nhwc"; else what the file's input shape says
    order = "rgb"           # or "bgr"
    mean = 127.5            # of values 0..255, or one for each channel in that order
    std = 127.5
    output = 0              # number or name, of ONNX also of a value inside (which takes the package onnx)
    resize = "clean"        # or "pytorch-fid", "tf1"

Maps (n, F, h, w) are averaged over their space; anything else is flattened to (n, F).
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from gansaku.errors import DataError, UsageError, nearest
from gansaku.extractors.contract import Extracted, Extractor, Identity, Precision, three_channels
from gansaku.extractors.resize import RESIZES, resized
from gansaku.extractors.weights import said, sha256

SUFFIXES = (".onnx", ".pt", ".jit", ".torchscript")
AT_ONCE = 16  # samples in one pass, where the file leaves it open
GREY = (0.299, 0.587, 0.114)  # of red, green and blue (ITU-R BT.601), for networks of one channel


@dataclass(frozen=True)
class Settings:
    """What the TOML file says, or its defaults."""

    size: tuple[int, int] | None = None  # (height, width); None for the pictures' own
    layout: Literal["nchw", "nhwc"] = "nchw"
    order: Literal["rgb", "bgr"] = "rgb"
    mean: tuple[float, ...] = (127.5,)
    std: tuple[float, ...] = (127.5,)
    output: str | int = 0
    resize: str = "clean"


@dataclass(frozen=True)
class Network:
    """A file that was opened: what it takes and what it gives. None where the file leaves something open."""

    run: Callable[[Tensor], Any]  # (n, …) fp32 in its layout -> tensors, in order or by name
    shape: tuple[int | None, ...] = (None, None, None, None)
    inner: bool = False  # whether what it gives lies inside it: ONNX's own maps are (n, F, h, w), whatever comes in


class Foreign(Extractor):
    """A network that somebody brings. Its name is the file's; its digest covers the file and what the TOML file says."""

    resizes = (*RESIZES, "none")

    def __init__(
        self,
        path: Path,
        resize: str | None,
        precision: Precision,
        device: torch.device,
        shape: tuple[int, ...],
        reserved: Sequence[str] = (),
    ):
        self.precision, self._where, self._device = precision, str(path), device
        told = settings_of(path)
        self._network = opened(path, device, told.get("output", 0))
        known = defaults(self._network.shape)
        self._settings = settings = replace(known, **told)
        if resize is not None and (resize == "none") != (settings.size is None):
            sentence = (
                f"takes {settings.size} alone" if settings.size else f"takes any size; `size` in {path.name}.toml says one"
            )
            raise UsageError(self._where, f"{sentence}, so it cannot be used with --resize {resize}", "RESIZE")
        self.resize = (resize or settings.resize) if settings.size else "none"
        name = path.name if path.stem in reserved else path.stem  # a file may not pass for a built-in extractor
        self.identity = Identity(name, identified(whole_sha256(path), replace(settings, resize=known.resize), known))
        self.features = 0
        self.features = self(torch.full((2, *shape), 128, dtype=torch.uint8)).features.shape[1]

    @torch.no_grad()
    def __call__(self, samples: Tensor) -> Extracted:
        fixed = self._network.shape[0] if self._network.shape else None
        made = torch.cat([self._features(part, fixed) for part in torch.split(samples, fixed or AT_ONCE)])
        if self.features and made.shape[1] != self.features:
            raise DataError(self._where, f"gave {self.features} features at first and {made.shape[1]} now", "EXTRACTOR")
        return Extracted(made)

    def _features(self, pictures: Tensor, fixed: int | None) -> Tensor:
        n = len(pictures)
        if fixed and n < fixed:  # filled up with the last picture, whose repetitions are left out below
            pictures = torch.cat([pictures, pictures[-1:].expand(fixed - n, *pictures.shape[1:])])
        x = self._prepared(pictures)
        try:
            outputs = self._network.run(x)
        except Exception as error:  # whatever the other program raises
            raise DataError(self._where, f"cannot look at {tuple(x.shape)}: {said(error)}", "EXTRACTOR") from error
        output = picked(outputs, self._settings.output, self._where)
        layout = "nchw" if self._network.inner else self._settings.layout
        return rows(output, len(x), layout, self._where)[:n].clone()

    def _prepared(self, pictures: Tensor) -> Tensor:
        settings, shape = self._settings, self._network.shape
        x = three_channels(pictures.to(self._device))
        x = resized(x, settings.size, self.resize) if settings.size else x.float()
        at = 1 if settings.layout == "nchw" else 3
        if len(shape) == 4 and shape[at] == 1:
            x = (x * torch.tensor(GREY, device=x.device).view(1, 3, 1, 1)).sum(1, keepdim=True)
        elif settings.order == "bgr":
            x = x.flip(1)
        mean, std = (torch.tensor(values, device=x.device).view(1, -1, 1, 1) for values in (settings.mean, settings.std))
        x = (x - mean) / std
        return x.contiguous() if settings.layout == "nchw" else x.permute(0, 2, 3, 1).contiguous()


def whole_sha256(path: Path) -> str:
    """Of the file, and of the files beside it that hold the weights of a large ONNX network: `net.onnx.data` and the like."""
    beside = sorted(other for other in path.parent.glob(f"{path.name}*") if other != path and other.suffix != ".toml")
    if not beside:
        return sha256(path)
    return hashlib.sha256("".join(sha256(part) for part in (path, *beside) if part.is_file()).encode()).hexdigest()


def identified(content: str, settings: Settings, known: Settings) -> str:
    """The file's SHA-256, or one of it and of the settings where these are not the file's own: they change the features."""
    if settings == known:
        return content
    return hashlib.sha256((content + json.dumps(asdict(settings), sort_keys=True)).encode()).hexdigest()


def picked(outputs: Any, which: str | int, where: str) -> Any:
    """The output with this number or name. Raises DataError when there is none."""
    named = outputs if isinstance(outputs, dict) else {}
    listed = [outputs] if isinstance(outputs, Tensor) else list(named.values() or outputs)
    if isinstance(which, int) and which < len(listed):
        return listed[which]
    if isinstance(which, str) and which in named:
        return named[which]
    there = f"the outputs {', '.join(named)}" if named else f"{len(listed)} outputs without names"
    inner = "; a value inside takes the package onnx" if where.endswith(".onnx") and find_spec("onnx") is None else ""
    raise DataError(where, f"has {there}; `output = {which!r}` is none of them{inner}", "EXTRACTOR")


def rows(output: Tensor, n: int, layout: str, where: str) -> Tensor:
    """(n, F) fp32 on the CPU. Raises DataError unless there is one row of finite numbers for each sample."""
    if not isinstance(output, Tensor) or output.ndim < 2 or len(output) != n:
        given = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
        raise DataError(
            where,
            f"gives {given} for {n} samples; one row for each is needed, and `output` in {Path(where).name}.toml picks another",
            "EXTRACTOR",
        )
    made = output.detach().float().cpu()
    if made.ndim == 4:
        made = made.mean((2, 3) if layout == "nchw" else (1, 2))
    if not bool(made.isfinite().all()):
        bad = int((~made.flatten(1).isfinite()).any(1).sum())
        raise DataError(where, f"gives numbers that are not finite for {bad} of {n} samples", "EXTRACTOR")
    return made.flatten(1)


def defaults(shape: Sequence[int | None]) -> Settings:
    """What the file's own input shape says."""
    if len(shape) != 4:
        return Settings()
    nhwc = shape[3] in (1, 3) and shape[1] not in (1, 3)
    height, width = shape[1:3] if nhwc else shape[2:4]
    return Settings(size=(height, width) if height and width else None, layout="nhwc" if nhwc else "nchw")


def settings_of(path: Path) -> dict[str, Any]:
    """What the TOML file beside the network says, as `Settings` holds it. Raises DataError for what it may not say."""
    beside = path.with_name(path.name + ".toml")
    if not beside.is_file():
        return {}
    try:
        content = tomllib.loads(beside.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DataError(str(beside), f"is no TOML: {error}", "SETTING") from error
    allowed = [field.name for field in fields(Settings)]
    for name, value in content.items():
        if name not in allowed:
            raise DataError(str(beside), f"has no setting {name!r}{nearest(name, allowed)}", "SETTING")
        content[name] = checked(name, value, str(beside))
    return content


def checked(name: str, value: Any, where: str) -> Any:
    """The value as `Settings` holds it. Raises DataError for one of another kind."""
    choices = {"layout": ("nchw", "nhwc"), "order": ("rgb", "bgr"), "resize": RESIZES}
    several = value if isinstance(value, list) else [value]
    if name in choices:
        good, what = value in choices[name], " or ".join(choices[name])
    elif name == "output":
        good, what = isinstance(value, str | int) and not isinstance(value, bool), "a number or a name"
    elif name == "size":
        value = tuple(several) * (1 if len(several) == 2 else 2)
        good, what = len(value) == 2 and all(type(v) is int and v > 0 for v in value), "pixels, or [height, width]"
    else:
        good = len(several) in (1, 3) and all(type(v) in (int, float) for v in several) and (name != "std" or all(several))
        value, what = tuple(map(float, several)) if good else value, "a number, or one for each of 3 channels"
    if not good:
        raise DataError(where, f"{name} = {value!r} is not {what}", "SETTING")
    return value


def opened(path: Path, device: torch.device, output: str | int) -> Network:
    """The network in the file. Raises DataError for a file that holds none that takes pictures."""
    return onnx(path, device, output) if path.suffix.lower() == ".onnx" else script(path, device)


def script(path: Path, device: torch.device) -> Network:
    try:
        net = torch.jit.load(str(path), map_location=device).eval()  # type: ignore[no-untyped-call]
    except Exception as error:
        raise DataError(str(path), f"is no TorchScript: {said(error)}", "EXTRACTOR") from error
    return Network(net)


def onnx(path: Path, device: torch.device, output: str | int) -> Network:
    if find_spec("onnxruntime") is None:
        raise UsageError(str(path), "needs onnxruntime: `pip install 'gansaku[onnx]'`", "EXTRACTOR")
    import onnxruntime as runtime

    options = runtime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3  # what is wrong is raised
    there = set(runtime.get_available_providers())
    wanted = ["CUDAExecutionProvider"] if device.type == "cuda" else []
    source = with_output(path, output)
    providers = [name for name in (*wanted, "CPUExecutionProvider") if name in there]
    try:
        session = runtime.InferenceSession(source, options, providers=providers)
    except Exception as error:
        raise DataError(str(path), f"is no ONNX that can be run: {said(error)}", "EXTRACTOR") from error
    inputs = session.get_inputs()
    if len(inputs) != 1 or inputs[0].type not in ("tensor(float)", "tensor(float16)"):
        found = ", ".join(f"{one.name}: {one.type}" for one in inputs) or "none"
        raise DataError(str(path), f"has the inputs {found}; it has to have one, of floats", "EXTRACTOR")
    shape = tuple(side if isinstance(side, int) and side > 0 else None for side in inputs[0].shape)
    if shape and len(shape) != 4:
        raise DataError(
            str(path), f"takes {len(shape)} dimensions; pictures have 4: samples, channels, height, width", "EXTRACTOR"
        )
    names = [one.name for one in session.get_outputs()]
    half = inputs[0].type == "tensor(float16)"

    def run(x: Tensor) -> dict[str, Tensor]:
        values = x.cpu().half() if half else x.cpu()
        made = session.run(names, {inputs[0].name: values.numpy()})
        return {name: torch.from_numpy(value) for name, value in zip(names, made, strict=True)}

    return Network(run, shape, inner=isinstance(source, bytes))


def with_output(path: Path, output: str | int) -> str | bytes:
    """The file, or its content with an inner value of that name as one more output."""
    if isinstance(output, int) or find_spec("onnx") is None:
        return str(path)
    library = import_module("onnx")
    try:
        model = library.load(str(path))
    except Exception:  # onnxruntime says what is wrong with it
        return str(path)
    inner = {name for node in model.graph.node for name in node.output} - {one.name for one in model.graph.output}
    if output not in inner:
        return str(path)
    model.graph.output.append(library.ValueInfoProto(name=output))
    content: bytes = model.SerializeToString()
    return content
