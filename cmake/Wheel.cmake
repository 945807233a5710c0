# What a wheel holds beside the package in python/ (pyproject.toml): the program, which finds torch beside the package;
# the launcher, which is `lossatlas` on the PATH; and the version of torch, for `import lossatlas`.

set_target_properties(lossatlas PROPERTIES INSTALL_RPATH "$ORIGIN/../../torch/lib")
install(TARGETS lossatlas DESTINATION lossatlas/bin)

configure_file("${CMAKE_CURRENT_LIST_DIR}/launcher.sh.in" "${PROJECT_BINARY_DIR}/launcher/lossatlas" @ONLY)
install(PROGRAMS "${PROJECT_BINARY_DIR}/launcher/lossatlas" DESTINATION "${SKBUILD_SCRIPTS_DIR}")

file(WRITE "${PROJECT_BINARY_DIR}/launcher/_built.py" "TORCH = \"${LossatlasTorch_PACKAGE_VERSION}\"\n")
install(FILES "${PROJECT_BINARY_DIR}/launcher/_built.py" DESTINATION lossatlas)
