# cmake --install BUILD --prefix DIR: the program, the rooms as static libraries with their headers,
# and a package `crossloom` for find_package, with which a main of your own can add architectures
# (examples/own_architecture).
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

install(TARGETS crossloom RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(TARGETS crossloom_build_flags crossloom_common crossloom_comm crossloom_tensor crossloom_parsers
  crossloom_models crossloom_architectures crossloom_data crossloom_trainer crossloom_graph crossloom_prompts crossloom_eval
  crossloom_benchmarks crossloom_launch
  EXPORT crossloom ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}/crossloom)
install(EXPORT crossloom FILE crossloom-targets.cmake DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/crossloom)
foreach(_room common models architectures data trainer eval launch benchmarks)
  install(DIRECTORY ${PROJECT_SOURCE_DIR}/${_room} DESTINATION include/crossloom FILES_MATCHING PATTERN "*.h")
endforeach()
configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/crossloom-config.cmake.in
  ${PROJECT_BINARY_DIR}/crossloom-config.cmake INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/crossloom)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/crossloom-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/crossloom-config.cmake ${PROJECT_BINARY_DIR}/crossloom-config-version.cmake
  ${PROJECT_SOURCE_DIR}/cmake/CrossloomDependencies.cmake ${PROJECT_SOURCE_DIR}/cmake/FindLibTorch.cmake
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/crossloom)
