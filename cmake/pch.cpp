// Holds the precompiled header of LibTorch that all rooms share.
