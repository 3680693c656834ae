fargo_sdkconfig(sdkconfig.flash_8m)

list(APPEND MICROPY_DEF_BOARD
    MICROPY_HW_BOARD_NAME="Fargo ESP32-S3 with 8 MB"
)
