include(boards/mpconfigboard_esp32c3_common.cmake)

include(${MICROPY_BOARD_DIR}/../fargo.cmake)
fargo_sdkconfig(sdkconfig.board)
set(MICROPY_FROZEN_MANIFEST ${MICROPY_BOARD_DIR}/manifest.py)
