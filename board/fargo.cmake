# What the boards with Fargo frozen in share. CMake reads it within MicroPython's ports/esp32 (make firmware).

set(FARGO_DIR ${CMAKE_CURRENT_LIST_DIR})

# Bluetooth is not used (mpconfigboard.h). An app that needs it leaves out this line and that setting.
list(REMOVE_ITEM SDKCONFIG_DEFAULTS boards/sdkconfig.ble)
list(APPEND SDKCONFIG_DEFAULTS ${FARGO_DIR}/sdkconfig.fargo)

# Adds a file of settings of the board. ESP-IDF looks for a partition table in MicroPython's folder unless it is named in
# full, so the name of ours is filled in here.
macro(fargo_sdkconfig NAME)
    configure_file(${MICROPY_BOARD_DIR}/${NAME} ${CMAKE_BINARY_DIR}/fargo/${NAME} @ONLY)
    list(APPEND SDKCONFIG_DEFAULTS ${CMAKE_BINARY_DIR}/fargo/${NAME})
endmacro()
