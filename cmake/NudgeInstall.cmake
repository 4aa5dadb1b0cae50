# What `cmake --install` puts where, and the Debian packages that CPack makes of it.
#
#   component  what                                                    Debian package
#   program    nudge, its manual page                                  nudge
#   config     etc/nudge/nudge.toml, examples of others                nudge
#   service    systemd units                                           nudge
#   docs       these pages, the bill of materials                      nudge
#   client     nudge::client for robots in a process of their own:     libnudge-dev
#              headers, archives, find_package(nudge), pkg-config
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

# ---- client: nothing of it needs Torch, Boost or SQLite -------------------------------------------
set(nudge_cmake_folder ${CMAKE_INSTALL_LIBDIR}/cmake/nudge)
set_target_properties(nudge_core PROPERTIES EXPORT_NAME core)
set_target_properties(nudge_wire PROPERTIES EXPORT_NAME wire)
set_target_properties(nudge_client PROPERTIES EXPORT_NAME client)
install(TARGETS nudge_core nudge_wire nudge_client EXPORT nudge
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT client)
install(EXPORT nudge NAMESPACE nudge:: FILE nudge-targets.cmake
        DESTINATION ${nudge_cmake_folder} COMPONENT client)
# Only the headers that a robot of one's own needs; the others are the modules'.
foreach(header robot robot_client status time types)
  install(FILES ${PROJECT_SOURCE_DIR}/include/nudge/${header}.h
          DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/nudge COMPONENT client)
endforeach()
configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/nudge-config.cmake.in nudge-config.cmake
                              INSTALL_DESTINATION ${nudge_cmake_folder})
# Before 1.0 the C++ interfaces may change in any minor version.
write_basic_package_version_file(nudge-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/nudge-config.cmake
              ${CMAKE_CURRENT_BINARY_DIR}/nudge-config-version.cmake
        DESTINATION ${nudge_cmake_folder} COMPONENT client)
# The folder of the .pc file leads to the prefix, so that an installation may be moved.
file(RELATIVE_PATH nudge_pc_to_prefix /prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig /prefix)
string(REGEX REPLACE "/$" "" nudge_pc_to_prefix "${nudge_pc_to_prefix}")
configure_file(${CMAKE_CURRENT_LIST_DIR}/nudge-client.pc.in nudge-client.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/nudge-client.pc
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT client)

# ---- program --------------------------------------------------------------------------------------
# Page, scene, default configuration and OpenAPI are compiled in: the program opens no file that is
# installed beside it, and runs the same from the build tree and from anywhere else.
if(TARGET nudge)
  install(TARGETS nudge RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT program)
  install(FILES ${PROJECT_SOURCE_DIR}/docs/nudge.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1
          COMPONENT program)

  # Where the configuration of the service is. `cmake --install --prefix` may name another place than
  # the one that was configured, so that this is found at installation; /usr has it in /etc.
  set(nudge_find_etc "
    cmake_path(ABSOLUTE_PATH CMAKE_INSTALL_PREFIX NORMALIZE OUTPUT_VARIABLE prefix)
    set(etc \"${CMAKE_INSTALL_SYSCONFDIR}\")
    if(NOT IS_ABSOLUTE \"\${etc}\")
      if(prefix STREQUAL \"/usr\")
        set(prefix_of_etc \"\")
      else()
        set(prefix_of_etc \"\${prefix}\")
      endif()
      set(etc \"\${prefix_of_etc}/\${etc}\")
    endif()")
  install(CODE "${nudge_find_etc}
    file(INSTALL \"${PROJECT_SOURCE_DIR}/configs/default.toml\" DESTINATION \"\${etc}/nudge\"
         RENAME nudge.toml)" COMPONENT config)
  file(GLOB nudge_configs CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/configs/*.toml)
  install(FILES ${nudge_configs} DESTINATION ${CMAKE_INSTALL_DATADIR}/nudge/configs
          COMPONENT config)

  # The units in configs/ are those of /usr; elsewhere they name where the program is.
  install(CODE "${nudge_find_etc}
    set(bin \"\${prefix}/${CMAKE_INSTALL_BINDIR}\")
    set(doc \"\${prefix}/${CMAKE_INSTALL_DATADIR}/doc/nudge\")
    file(GLOB units \"${PROJECT_SOURCE_DIR}/configs/systemd/*\")
    foreach(unit IN LISTS units)
      file(READ \"\${unit}\" text)
      string(REPLACE /usr/bin/nudge \"\${bin}/nudge\" text \"\${text}\")
      string(REPLACE /etc/nudge \"\${etc}/nudge\" text \"\${text}\")
      string(REPLACE /usr/share/doc/nudge \"\${doc}\" text \"\${text}\")
      cmake_path(GET unit FILENAME name)
      set(written \"${CMAKE_CURRENT_BINARY_DIR}/units/\${name}\")
      file(WRITE \"\${written}\" \"\${text}\")
      file(INSTALL \"\${written}\" DESTINATION \"\${CMAKE_INSTALL_PREFIX}/lib/systemd/system\")
    endforeach()" COMPONENT service)

  install(FILES ${PROJECT_SOURCE_DIR}/README.md ${PROJECT_SOURCE_DIR}/CHANGELOG.md
                ${PROJECT_SOURCE_DIR}/ARCHITECTURE.md ${PROJECT_SOURCE_DIR}/SECURITY.md
                ${PROJECT_SOURCE_DIR}/LICENSE
          DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT docs)
  install(DIRECTORY ${PROJECT_SOURCE_DIR}/docs DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT docs
          PATTERN nudge.1 EXCLUDE)
  install(FILES ${CMAKE_CURRENT_LIST_DIR}/debian/copyright
          DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/nudge COMPONENT docs)

  find_package(Python3 REQUIRED COMPONENTS Interpreter)
  # Made at installation: it tells the versions of the libraries that are there now.
  install(CODE "
    set(bill \"${CMAKE_CURRENT_BINARY_DIR}/nudge.cdx.json\")
    execute_process(COMMAND \"${Python3_EXECUTABLE}\" \"${PROJECT_SOURCE_DIR}/scripts/sbom.py\" \"\${bill}\"
                    COMMAND_ERROR_IS_FATAL ANY)
    file(INSTALL \"\${bill}\" DESTINATION
         \"\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_DATADIR}/doc/nudge\")" COMPONENT docs)
endif()
install(FILES ${CMAKE_CURRENT_LIST_DIR}/debian/copyright
        DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/libnudge-dev COMPONENT client)

# ---- Debian packages: `cpack --config build/release/CPackConfig.cmake` -----------------------------
# One package is for one release of the distribution: LibTorch's libraries differ. So the version
# names it, and that of the next one is higher.
set(nudge_release 1)
if(EXISTS /etc/os-release)
  file(STRINGS /etc/os-release nudge_os REGEX "^(ID|VERSION_ID)=")
  string(REGEX MATCH "(^|;)ID=\"?([a-z]+)" ignored "${nudge_os}")
  set(nudge_os_id ${CMAKE_MATCH_2})
  string(REGEX MATCH "VERSION_ID=\"?([0-9.]+)" ignored "${nudge_os}")
  set(nudge_os_version ${CMAKE_MATCH_1})
  string(REPLACE debian deb nudge_os_id "${nudge_os_id}")
  if(nudge_os_id AND nudge_os_version)
    set(nudge_release "1~${nudge_os_id}${nudge_os_version}")
  endif()
endif()

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME nudge)
set(CPACK_PACKAGE_VENDOR "The Nudge authors")
set(CPACK_PACKAGE_CONTACT "The Nudge authors <nudge@localhost>")
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY ${PROJECT_DESCRIPTION})
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_COMPONENTS_GROUPING ONE_PER_GROUP)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_RELEASE ${nudge_release})
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)

set(CPACK_DEBIAN_PROGRAM_PACKAGE_NAME nudge)
set(CPACK_DEBIAN_PROGRAM_PACKAGE_SECTION science)
# LibTorch is content with the reference BLAS, which is many times slower.
set(CPACK_DEBIAN_PROGRAM_PACKAGE_DEPENDS "libopenblas0-pthread | libopenblas0")
# Loaded when they are there: cameras of the simulated kitchen, and plots.
set(CPACK_DEBIAN_PROGRAM_PACKAGE_RECOMMENDS
    "libegl1, libgl1-mesa-dri, gnuplot-nox, fonts-dejavu-core")
set(CPACK_DEBIAN_PROGRAM_DESCRIPTION
    "A person takes over for a moment and shows how to go on; every correction is stored durably, \
and a learner on the robot's computer fine-tunes the policy within seconds. New weights must pass \
a gate, are swapped in between two actions, and are rolled back when the robot gets worse. This \
is software, not a safety-rated function.")
set(CPACK_DEBIAN_PROGRAM_PACKAGE_CONTROL_EXTRA
    "${CMAKE_CURRENT_LIST_DIR}/debian/conffiles;${CMAKE_CURRENT_LIST_DIR}/debian/postinst;\
${CMAKE_CURRENT_LIST_DIR}/debian/prerm;${CMAKE_CURRENT_LIST_DIR}/debian/postrm")

set(CPACK_DEBIAN_CLIENT_PACKAGE_NAME libnudge-dev)
set(CPACK_DEBIAN_CLIENT_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_CLIENT_PACKAGE_SHLIBDEPS OFF)  # archives
set(CPACK_DEBIAN_CLIENT_PACKAGE_DEPENDS "libzmq3-dev, pkg-config | pkgconf")
set(CPACK_DEBIAN_CLIENT_DESCRIPTION
    "The C++ client, for robots in a process of their own: nudge::RobotClient connects a robot to \
the daemon, and holds it when the daemon falls silent. Needs ZeroMQ and nothing else of Nudge.")

# Others than these two are not packaged, whatever the libraries that are built along install.
set(CPACK_COMPONENTS_ALL client)
if(TARGET nudge)
  list(APPEND CPACK_COMPONENTS_ALL program config service docs)
endif()
include(CPack)
cpack_add_component_group(program)
cpack_add_component_group(client)
foreach(component program config service docs)
  cpack_add_component(${component} GROUP program)
endforeach()
cpack_add_component(client GROUP client)
