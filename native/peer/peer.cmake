# llama-server and llama-quantize from the same source and the same objects: the peers that tests and benchmarks
# run beside us. They find the plug-ins in their own folder, so they are the very files that we load.
set(L "${MLO_LLAMA_SRC}")
file(GLOB PEER_MTMD "${L}/tools/mtmd/*.cpp" "${L}/tools/mtmd/models/*.cpp")
list(FILTER PEER_MTMD EXCLUDE REGEX "(cli|debug|deprecation-warning|mtmd-helper-gen-main)\\.cpp$")
set(PEER_SOURCES
  server-chat server-common server-context server-http server-mcp server-models server-queue
  server-schema server-stream server-task server-tools server main)
list(TRANSFORM PEER_SOURCES PREPEND "${L}/tools/server/")
list(TRANSFORM PEER_SOURCES APPEND ".cpp")
set(PEER_COMMON arg console debug download hf-cache preset subproc)
list(TRANSFORM PEER_COMMON PREPEND "${L}/common/")
list(TRANSFORM PEER_COMMON APPEND ".cpp")

set(PEER_HASH "${L}/vendor/hash/hash.cpp" "${L}/vendor/hash/xxhash/xxhash.c" "${L}/vendor/hash/sha1/sha1.c" "${L}/vendor/hash/sha256/sha256.c")
set_source_files_properties("${L}/vendor/hash/sha1/sha1.c" PROPERTIES LANGUAGE CXX)
# Images, audio, downloads and arguments have no part in what is measured: compile them quickly.
set_source_files_properties(${PEER_MTMD} ${PEER_COMMON} "${L}/vendor/cpp-httplib/httplib.cpp" PROPERTIES COMPILE_OPTIONS -O0)

add_executable(llama-server ${PEER_SOURCES} ${PEER_MTMD} ${PEER_COMMON} peer/ui-none.cpp
  "${L}/vendor/cpp-httplib/httplib.cpp" ${PEER_HASH} $<TARGET_OBJECTS:mlo-llama>)
target_include_directories(llama-server PRIVATE peer "${L}" "${L}/tools/server" "${L}/tools/mtmd" "${L}/vendor/hash")
target_compile_options(llama-server PRIVATE -w)
target_compile_definitions(llama-server PRIVATE LLAMA_SUBPROCESS CPPHTTPLIB_LISTEN_BACKLOG=512 CPPHTTPLIB_TCP_NODELAY=1)
target_link_libraries(llama-server PRIVATE mlo-llama-usage)
set_target_properties(llama-server PROPERTIES UNITY_BUILD OFF)

add_executable(llama-quantize "${L}/tools/quantize/quantize.cpp" "${L}/tools/quantize/main.cpp" $<TARGET_OBJECTS:mlo-llama>)
target_compile_options(llama-quantize PRIVATE -w)
target_link_libraries(llama-quantize PRIVATE mlo-llama-usage)
