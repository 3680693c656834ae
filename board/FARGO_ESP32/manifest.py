include("../manifest.py")
