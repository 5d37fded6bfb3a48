"""The system calls that Python has no name for, by ctypes: openat2(2), renameat2(2), fstatfs(2).

Each raises OSError with ENOSYS where the kernel or the C library lacks it, so that the caller takes its other way.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import sys

LINUX = sys.platform == "linux"

RESOLVE_NO_MAGICLINKS = 0x02
RESOLVE_NO_SYMLINKS = 0x04
RESOLVE_BENEATH = 0x08
RESOLVE_CACHED = 0x20

_OPENAT2 = 437  # one number on every architecture since the table was unified in Linux 5.1
_NOREPLACE, _EXCHANGE = 1, 2  # renameat2(2)
_EXCL_DARWIN, _SWAP_DARWIN = 4, 2  # renameatx_np(2)

#: File systems that are windows on the kernel, not storage (linux/magic.h): never part of a workspace.
KERNEL_FILE_SYSTEMS = frozenset(
    {
        0x9FA0,  # proc
        0x62656572,  # sysfs
        0x64626720,  # debugfs
        0x74726163,  # tracefs
        0x73636673,  # securityfs
        0xCAFE4A11,  # bpf
        0x27E0EB,  # cgroup
        0x63677270,  # cgroup2
        0x1CD1,  # devpts
        0x6165676C,  # pstore
        0xDE5E81E4,  # efivarfs
        0x62656570,  # configfs
        0xF97CFF8C,  # selinuxfs
        0x42494E4D,  # binfmt_misc
        0x6E736673,  # nsfs
        0x19800202,  # mqueue
    }
)

#: The kernel has the call, but not for this file system; or the C library lacks it.
_CANNOT = frozenset({errno.ENOSYS, errno.EINVAL, errno.ENOTSUP})

_libc = ctypes.CDLL(None, use_errno=True)


def _checked(result: int, name: str | bytes) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), name)
    return result


def openat2(folder: int, path: str | bytes, flags: int, resolve: int) -> int:
    """openat2(2) with close-on-exec. RESOLVE_CACHED answers EAGAIN where the disk would have to be asked."""
    if not LINUX:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS), path)
    how = struct.pack("QQQ", flags | os.O_CLOEXEC, 0, resolve)
    return _checked(
        _libc.syscall(
            ctypes.c_long(_OPENAT2),
            ctypes.c_int(folder),
            ctypes.c_char_p(os.fsencode(path)),
            ctypes.c_char_p(how),
            ctypes.c_size_t(len(how)),
        ),
        path,
    )


def _rename(source_folder: int, source: str, target_folder: int, target: str, *, linux: int, darwin: int) -> None:
    call, flags = getattr(_libc, "renameat2", None), linux
    if call is None:
        call, flags = getattr(_libc, "renameatx_np", None), darwin
    if call is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS), source)
    _checked(
        call(
            ctypes.c_int(source_folder),
            ctypes.c_char_p(os.fsencode(source)),
            ctypes.c_int(target_folder),
            ctypes.c_char_p(os.fsencode(target)),
            ctypes.c_uint(flags),
        ),
        source,
    )


def exchange(source_folder: int, source: str, target_folder: int, target: str) -> None:
    """Swap two names in one step: what was displaced is then known exactly, and can be put back.

    A file system that cannot (NFS, some of FUSE) gets it in three renames: between them the target is missing for a
    moment, never half written.
    """
    try:
        _rename(source_folder, source, target_folder, target, linux=_EXCHANGE, darwin=_SWAP_DARWIN)
    except OSError as error:
        if error.errno not in _CANNOT:
            raise
        aside = f"{source}.aside"
        os.rename(target, aside, src_dir_fd=target_folder, dst_dir_fd=source_folder)
        try:
            os.rename(source, target, src_dir_fd=source_folder, dst_dir_fd=target_folder)
        except OSError:
            os.rename(aside, target, src_dir_fd=source_folder, dst_dir_fd=target_folder)
            raise
        os.rename(aside, source, src_dir_fd=source_folder, dst_dir_fd=source_folder)


def can_exchange(folder: int, name: str) -> bool:
    """Whether the kernel swaps names in one step. `name` is one that nothing in `folder` has, so nothing happens."""
    try:
        _rename(folder, name, folder, name, linux=_EXCHANGE, darwin=_SWAP_DARWIN)
    except OSError as error:
        return error.errno not in _CANNOT
    return True


def rename_new(source_folder: int, source: str, target_folder: int, target: str) -> None:
    """Rename, never over something that is there (EEXIST)."""
    try:
        _rename(source_folder, source, target_folder, target, linux=_NOREPLACE, darwin=_EXCL_DARWIN)
    except OSError as error:
        if error.errno not in _CANNOT:
            raise
        if _is_there(target_folder, target):
            raise OSError(errno.EEXIST, os.strerror(errno.EEXIST), target) from None
        os.rename(source, target, src_dir_fd=source_folder, dst_dir_fd=target_folder)


def _is_there(folder: int, name: str) -> bool:
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def sync_file_system(descriptor: int) -> None:
    """syncfs(2): everything written on the descriptor's file system is on disk; where there is none, sync(2)."""
    call = getattr(_libc, "syncfs", None)
    if call is None:
        os.sync()
    else:
        _checked(call(ctypes.c_int(descriptor)), "syncfs")


def is_kernel_file_system(descriptor: int) -> bool:
    """Whether the descriptor lies on `/proc`, `/sys` or their like. Where the system cannot tell, it is not."""
    if not LINUX:
        return False
    held = ctypes.create_string_buffer(256)  # struct statfs: 120 bytes on 64 bit; f_type is its first word
    _checked(_libc.fstatfs(ctypes.c_int(descriptor), held), "fstatfs")
    kind = ctypes.c_long.from_buffer(held).value & 0xFFFFFFFF
    return kind in KERNEL_FILE_SYSTEMS
