// An ESP32 module with 4 MB of flash or more, and Fargo frozen in.

#define MICROPY_HW_BOARD_NAME               "Fargo ESP32"
#define MICROPY_HW_MCU_NAME                 "ESP32"

// Fargo has no use for Bluetooth: without it the firmware fits its slot, and WiFi and TLS have more memory (fargo.cmake).
#define MICROPY_PY_BLUETOOTH                (0)
