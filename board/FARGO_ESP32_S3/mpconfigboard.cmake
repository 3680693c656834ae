include(boards/mpconfigboard_esp32s3_common.cmake)

list(APPEND SDKCONFIG_DEFAULTS boards/sdkconfig.240mhz)

include(${MICROPY_BOARD_DIR}/../fargo.cmake)
fargo_sdkconfig(sdkconfig.board)
set(MICROPY_FROZEN_MANIFEST ${MICROPY_BOARD_DIR}/manifest.py)
