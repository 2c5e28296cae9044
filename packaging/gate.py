"""What auditwheel does not look at: python gate.py WHEEL...

A function that glibc got after 2.17 links without a version when zig has no older one for it, and
auditwheel calls the result manylinux_2_17 all the same; it would fail to load on an old system. So
an undefined symbol must have a version, be weak, or be Python's.

`gate.py --stand-ins FILE.so` prints C that defines the symbols the file wants from Python.
"""

import io
import re
import sys
import zipfile
from email.parser import Parser
from pathlib import Path

from elftools.elf.elffile import ELFFile

LARGEST = 700_000  # of which the text of the package, mostly what it says of itself, is 470,000
LARGEST_LIBRARY = 200_000  # compressed
NEWEST_GLIBC = (2, 17)
WANTED = {'cffi>=1.17; platform_python_implementation != "PyPy"'}  # by who installs it and asks for no more
FROM_PYTHON = re.compile(r"_?Py")
MACHINES = {"x86_64": "EM_X86_64", "aarch64": "EM_AARCH64"}


def symbols(elf):
    """Yield (symbol, the version it wants or "") of the dynamic symbol table."""
    wanted = {}
    needs = elf.get_section_by_name(".gnu.version_r")
    if needs:
        for _, versions in needs.iter_versions():
            wanted.update({version["vna_other"] & 0x7FFF: version.name for version in versions})
    indexes = elf.get_section_by_name(".gnu.version")
    for number, symbol in enumerate(elf.get_section_by_name(".dynsym").iter_symbols()):
        index = indexes.get_symbol(number)["ndx"] if indexes else 0
        yield symbol, wanted.get(index, "") if isinstance(index, int) else ""


def undefined(elf):
    """Yield (name, version) of what must come from elsewhere; weak symbols need not."""
    for symbol, version in symbols(elf):
        if symbol.name and symbol["st_shndx"] == "SHN_UNDEF" and symbol["st_info"]["bind"] != "STB_WEAK":
            yield symbol.name, version


def exported(elf):
    """Names that anyone who loads the file sees."""
    return {
        symbol.name
        for symbol, _ in symbols(elf)
        if symbol["st_shndx"] != "SHN_UNDEF"
        and symbol["st_info"]["bind"] != "STB_LOCAL"
        and symbol["st_other"]["visibility"] in ("STV_DEFAULT", "STV_PROTECTED")
    }


def faults_of_library(elf, wheel):
    """Yield what is wrong with one shared library of the wheel with this name."""
    musl = "musllinux" in wheel
    for arch, machine in MACHINES.items():
        if wheel.endswith(f"{arch}.whl") and elf["e_machine"] != machine:
            yield f"is for {elf['e_machine']}"
    for name, version in undefined(elf):
        if FROM_PYTHON.match(name) or musl:
            continue
        if not version:
            yield f"wants {name} of no version: newer than the glibc it is built for"
        if version.startswith("GLIBC_") and "manylinux" in wheel:
            numbers = tuple(int(part) for part in version[6:].split(".") if part.isdigit())
            if numbers[:2] > NEWEST_GLIBC:
                yield f"wants {name}@{version}"
    for name in exported(elf):
        if not name.startswith("PyInit_"):
            yield f"exports {name}"
    for tag in elf.get_section_by_name(".dynamic").iter_tags():
        if tag.entry.d_tag in ("DT_RPATH", "DT_RUNPATH"):
            yield f"has a {tag.entry.d_tag}"


def wanted(wheel):
    """What is installed along with the wheel: extras are what somebody asks for."""
    name = next(name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    required = Parser().parsestr(wheel.read(name).decode()).get_all("Requires-Dist", [])
    return {text for text in required if not re.search(r"\bextra *==", text)}


def faults_of_wheel(path):
    """Yield what is wrong with a wheel."""
    if path.stat().st_size > LARGEST:
        yield f"{path.stat().st_size} bytes are more than {LARGEST}"
    with zipfile.ZipFile(path) as wheel:
        if wanted(wheel) != WANTED:
            yield f"wants {sorted(wanted(wheel))}"
        libraries = [name for name in wheel.namelist() if ".so" in name]
        if bool(libraries) == path.name.endswith("-none-any.whl"):
            yield f"has these libraries: {libraries}"
        for name in libraries:
            size = wheel.getinfo(name).compress_size
            if size > LARGEST_LIBRARY:
                yield f"{name} has {size} bytes, more than {LARGEST_LIBRARY}"
            elf = ELFFile(io.BytesIO(wheel.read(name)))
            for fault in faults_of_library(elf, path.name):
                yield f"{name} {fault}"


def stand_ins(path):
    """C that defines what the library wants from Python: never called, only resolved."""
    with path.open("rb") as file:
        names = sorted(name for name, _ in undefined(ELFFile(file)) if FROM_PYTHON.match(name))
    return "\n".join(f"long {name}[64];" for name in names)


def main(arguments):
    """Return the exit status."""
    if arguments[0] == "--stand-ins":
        print(stand_ins(Path(arguments[1])))
        return 0
    status = 0
    for path in map(Path, arguments):
        faults = list(faults_of_wheel(path))
        print(f"{path.stat().st_size:8} {path.name}: {'FAULTS' if faults else 'ok'}")
        for fault in faults:
            print(f"         {fault}")
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
