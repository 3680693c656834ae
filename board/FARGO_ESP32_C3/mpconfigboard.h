// An ESP32-C3 module with 4 MB of flash or more, and Fargo frozen in.

#define MICROPY_HW_BOARD_NAME               "Fargo ESP32-C3"
#define MICROPY_HW_MCU_NAME                 "ESP32C3"

// Fargo has no use for Bluetooth: without it the firmware fits its slot, and WiFi and TLS have more memory (fargo.cmake).
#define MICROPY_PY_BLUETOOTH                (0)

// As MicroPython's own definition of a C3 has it.
#define MICROPY_HW_ENABLE_SDCARD            (0)
#define MICROPY_PY_MACHINE_I2S              (0)

// For boards whose USB socket leads to a UART.
#define MICROPY_HW_ENABLE_UART_REPL         (1)
