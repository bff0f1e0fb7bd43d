# Libraries from the distribution; `make deps` installs them.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
find_package(fmt REQUIRED)
set(Boost_USE_STATIC_LIBS ON)  # the agent is one static program
find_package(Boost 1.81 REQUIRED COMPONENTS json)
pkg_check_modules(LIBVIRT REQUIRED libvirt libvirt-qemu)  # for its headers: vm/ loads it when it is first needed
pkg_check_modules(SYSTEMD REQUIRED libsystemd)  # likewise: daemon/
pkg_check_modules(SQLITE REQUIRED IMPORTED_TARGET sqlite3)
pkg_check_modules(CURL REQUIRED IMPORTED_TARGET libcurl)
pkg_check_modules(ZSTD REQUIRED IMPORTED_TARGET libzstd)
pkg_check_modules(YAML REQUIRED IMPORTED_TARGET yaml-cpp)
pkg_check_modules(CRYPTO REQUIRED IMPORTED_TARGET libcrypto)
pkg_check_modules(EXT2FS REQUIRED IMPORTED_TARGET ext2fs com_err)
pkg_check_modules(LZ4 REQUIRED IMPORTED_TARGET liblz4)
