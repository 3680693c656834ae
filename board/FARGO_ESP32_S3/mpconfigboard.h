// An ESP32-S3 module with 4 MB of flash or more (8 MB: BOARD_VARIANT=FLASH_8M), and Fargo frozen in.

#ifndef MICROPY_HW_BOARD_NAME // a variant has its own
#define MICROPY_HW_BOARD_NAME               "Fargo ESP32-S3"
#endif
#define MICROPY_HW_MCU_NAME                 "ESP32S3"

// Fargo has no use for Bluetooth: without it the firmware fits its slot, and WiFi and TLS have more memory (fargo.cmake).
#define MICROPY_PY_BLUETOOTH                (0)

// For boards whose USB socket leads to a UART.
#define MICROPY_HW_ENABLE_UART_REPL         (1)
