"""The application: composition only. Everything it joins is in `lib/` and `board/`."""
