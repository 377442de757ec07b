"""What the numbers were measured on and with."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

__all__ = ["device_name", "machine", "thread_settings", "versions", "where"]

_PACKAGES = (
    "sklearn-bert",
    "numpy",
    "scikit-learn",
    "torch",
    "transformers",
    "tokenizers",
    "skorch",
    "accelerate",
    "sentence-transformers",
    "skrub",
    "embetter",
    "setfit",
)
_THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "TOKENIZERS_PARALLELISM",
)
# What decides how fast a matrix product can be.
_FEATURES = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "asimd", "sve", "bf16")


def machine() -> dict[str, Any]:
    """Describe the processor, its cores and the memory."""
    processor = _processor()
    flags = processor.get("flags", processor.get("Features", "")).split()
    return {
        "cpu": _name(processor),
        "features": " ".join(feature for feature in _FEATURES if feature in flags) or "unknown",
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "memory": _memory(),
        "system": f"{platform.system()} {platform.machine()}",
    }


def device_name(device: str) -> str:
    """Return what a GPU is called, and "cpu" for a processor."""
    if device == "cpu":
        return device
    import torch

    return torch.cuda.get_device_name(device)


def thread_settings() -> dict[str, str]:
    """Return the environment variables on threads that are set."""
    return {name: os.environ[name] for name in _THREADS if name in os.environ}


def versions() -> dict[str, str]:
    """Name the versions of Python and of the packages that are installed."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def where(device: str) -> str:
    """Name the device and what computes on it, for results that come from several machines."""
    found = versions()
    parts = [f"{package} {found[package]}" for package in ("torch", "transformers")]
    name = f"cpu ({machine()['features']})" if device == "cpu" else device_name(device)
    return ", ".join([name, *parts])


def _processor() -> dict[str, str]:
    """Return what Linux says of the first processor, nothing elsewhere."""
    try:
        first = Path("/proc/cpuinfo").read_text().split("\n\n")[0]
    except OSError:
        return {}
    pairs = (line.split(":", 1) for line in first.splitlines() if ":" in line)
    return {key.strip(): value.strip() for key, value in pairs}


def _name(processor: dict[str, str]) -> str:
    """Return what a processor is called, and its model, which names often leave out."""
    name = processor.get("model name", platform.processor() or platform.machine())
    generation = [
        f"{key.removeprefix('cpu ')} {processor[key]}"
        for key in ("cpu family", "model")
        if key in processor
    ]
    return f"{name} ({', '.join(generation)})" if generation else name


def _memory() -> str:
    try:
        size = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return "unknown"
    return f"{size / 2**30:.0f} GiB"
