"""Two faults of a device that halving a batch, or replacing a process, cures: told by what a framework raised.

Frameworks raise them as their own classes, or as plain errors with a telling message. They are told here by
class name and text, so that a process without torch or onnxruntime need not import it to ask.
"""

from __future__ import annotations

import re


class OutOfMemory(Exception):
    """The memory of the device, or of the machine, did not suffice: with fewer rows it may."""


class DeviceBroken(Exception):
    """The device fails, and so will every later call from this process: only a new process cures it.

    A CUDA context that has met an illegal access or a failed assert stays unusable until its process ends.
    """


Fault = OutOfMemory | DeviceBroken

# Class names along the whole inheritance, since frameworks move their errors about and subclass them.
_MEMORY_CLASSES = frozenset({"MemoryError", "OutOfMemoryError"})
_BROKEN_CLASSES = frozenset({"AcceleratorError"})

# The texts: torch's two CUDA and one CPU allocator, cuDNN and cuBLAS that cannot allocate their workspace,
# and onnxruntime's arena. They come before those of a broken device, as "CUDA error: out of memory" is both.
_MEMORY_TEXT = re.compile(
    r"DefaultCPUAllocator: can't allocate memory"
    r"|DefaultCPUAllocator: not enough memory"
    r"|CUDA out of memory"
    r"|CUDA error: out of memory"
    r"|CUDA failure 2: out of memory"
    r"|cudaErrorMemoryAllocation"
    r"|CUBLAS_STATUS_ALLOC_FAILED"
    r"|CUDNN_STATUS_ALLOC_FAILED"
    r"|Failed to allocate memory for requested buffer"
    r"|Available memory of [0-9]+ is smaller than requested bytes"
    r"|std::bad_alloc"
)
_BROKEN_TEXT = re.compile(
    r"CUDA error"
    r"|CUDA failure"
    r"|device-side assert"
    r"|CUBLAS_STATUS_"
    r"|CUDNN_STATUS_(?:EXECUTION_FAILED|INTERNAL_ERROR|MAPPING_ERROR)"
    r"|illegal memory access"
    r"|unspecified launch failure"
)


def fault_of(raised: BaseException) -> Fault | None:
    """The fault of a device behind what a framework raised; None where it is only the rows or the model.

    What was raised is believed before what it came from: a model may catch a failed allocation and then fail
    for reasons of its own, but one that wraps the error (`raise ... from exc`) is looked through.
    """
    seen: set[int] = set()
    error: BaseException | None = raised
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if (fault := _fault(error)) is not None:
            return fault
        error = error.__cause__
    return None


def _fault(error: BaseException) -> Fault | None:
    if isinstance(error, OutOfMemory | DeviceBroken):
        return error
    names = {kind.__name__ for kind in type(error).__mro__}
    text = str(error)
    line = text.strip().partition("\n")[0] or type(error).__name__
    if names & _MEMORY_CLASSES:
        return OutOfMemory(line)
    # Frameworks raise these texts as RuntimeError or as subclasses of Exception of their own; a ValueError
    # or KeyError that quotes them comes from elsewhere.
    if isinstance(error, ValueError | LookupError | TypeError | OSError):
        return None
    if _MEMORY_TEXT.search(text):
        return OutOfMemory(line)
    if names & _BROKEN_CLASSES or _BROKEN_TEXT.search(text):
        return DeviceBroken(line)
    return None
