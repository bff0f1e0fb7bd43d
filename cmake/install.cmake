# What `make install PREFIX=…` puts where. `sprite image build` finds the agent and the recipes relative to the program.
include(GNUInstallDirs)

install(TARGETS sprite RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(TARGETS sprite-agent RUNTIME DESTINATION libexec/sprite)
install(DIRECTORY images/ DESTINATION ${CMAKE_INSTALL_DATADIR}/sprite/images)
install(FILES config/config.yaml DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/sprite/examples)
install(FILES README.md LICENSE DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/sprite)
install(FILES completions/sprite.bash DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME sprite)
install(FILES completions/_sprite DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions)
install(FILES completions/sprite.fish DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d)
# A user's service, which names the program by where it is installed. Where it goes systemd looks for it also if the prefix
# is ~/.local, unlike lib/.
install(CODE "set(BIN \"\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_BINDIR}\")
  configure_file(${PROJECT_SOURCE_DIR}/packaging/sprite-daemon.service
    \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_DATADIR}/systemd/user/sprite-daemon.service\" @ONLY)")
