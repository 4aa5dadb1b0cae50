# nudge_web: the supervisor's page, built by npm and compiled in. What it is built with is installed
# into web/node_modules/ the first time, which needs the network; later builds need none.
option(NUDGE_WITH_WEB "Build the supervisor's page into the program (needs Node 18 or newer and npm)" ON)
find_package(Python3 REQUIRED COMPONENTS Interpreter)

set(web_folder ${PROJECT_SOURCE_DIR}/web)
set(web_built ${CMAKE_BINARY_DIR}/web)
set(web_source ${CMAKE_BINARY_DIR}/web_files.cc)
set(web_embed ${PROJECT_SOURCE_DIR}/cmake/embed_web.py)

if(NUDGE_WITH_WEB)
  set(web_advice "On Debian and Ubuntu: apt-get install --no-install-recommends nodejs npm "
                 "(scripts/setup.sh does). To build without the page: -DNUDGE_WITH_WEB=OFF")
  find_program(NUDGE_NODE NAMES node nodejs)
  find_program(NUDGE_NPM npm)
  if(NOT NUDGE_NODE OR NOT NUDGE_NPM)
    message(FATAL_ERROR "The supervisor's page is built with Node 18 or newer and npm, and "
                        "they are not here. " ${web_advice})
  endif()
  execute_process(COMMAND ${NUDGE_NODE} --version OUTPUT_VARIABLE node_version
                  OUTPUT_STRIP_TRAILING_WHITESPACE)
  string(REGEX REPLACE "^v" "" node_version "${node_version}")
  if(node_version VERSION_LESS 18)
    message(FATAL_ERROR "The supervisor's page is built with Node 18 or newer; ${NUDGE_NODE} is "
                        "${node_version}. " ${web_advice})
  endif()

  file(GLOB_RECURSE web_inputs CONFIGURE_DEPENDS ${web_folder}/src/* ${web_folder}/public/*)
  add_custom_command(
    OUTPUT ${web_source}
    COMMAND ${NUDGE_NODE} ${web_folder}/scripts/install.mjs
    COMMAND ${NUDGE_NODE} ${web_folder}/scripts/build.mjs ${web_built}
    COMMAND Python3::Interpreter ${web_embed} ${web_built} ${web_source}
    DEPENDS ${web_inputs} ${web_embed} ${web_folder}/package.json ${web_folder}/package-lock.json
            ${web_folder}/scripts/install.mjs ${web_folder}/scripts/build.mjs
    COMMENT "Building the supervisor's page" VERBATIM)
else()
  add_custom_command(OUTPUT ${web_source}
                     COMMAND Python3::Interpreter ${web_embed} ${web_source}
                     DEPENDS ${web_embed} VERBATIM)
endif()

add_library(nudge_web STATIC ${web_source})
target_include_directories(nudge_web PUBLIC ${PROJECT_SOURCE_DIR})
nudge_target(nudge_web)
