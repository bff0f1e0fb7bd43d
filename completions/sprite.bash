# bash completion for sprite; made by `sprite completion bash`
_sprite() {
  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]} words= first= verb= i
  for ((i = 1; i < COMP_CWORD; i++)); do
    case ${COMP_WORDS[i]} in
    --) return ;;
    -s|--sprite|-o|--org) ((i++)) ;;
    -*) ;;
    *) if [[ -z $first ]]; then first=${COMP_WORDS[i]}; verb=$first
       elif [[ $verb == "$first" ]]; then verb="$first ${COMP_WORDS[i]}"; fi ;;
    esac
  done
  if [[ $previous == -s || $previous == --sprite ]]; then
    words=$(sprite daemon status >/dev/null 2>&1 && sprite list 2>/dev/null </dev/null)
  elif [[ -z $first ]]; then
    words='api checkpoint completion config console create daemon destroy doctor env exec export fork gc help image import info list logs pin recover restart restore sessions sleep start stop unpin url usage use version wake --sprite --org --json --no-color --help --version'
  elif [[ $current == -* ]]; then
    case $verb in
    'create') words='-s --sprite -o --org --json --no-color -h --help --skip-console --label --memory --cpus --vcpus --image --from' ;;
    'list') words='-s --sprite -o --org --json --no-color -h --help --prefix -w --watch' ;;
    'info') words='-s --sprite -o --org --json --no-color -h --help' ;;
    'use') words='-s --sprite -o --org --json --no-color -h --help --unset' ;;
    'start') words='-s --sprite -o --org --json --no-color -h --help' ;;
    'stop') words='-s --sprite -o --org --json --no-color -h --help' ;;
    'restart') words='-s --sprite -o --org --json --no-color -h --help' ;;
    'sleep') words='-s --sprite -o --org --json --no-color -h --help --deep --cold -f --force --all --wait' ;;
    'wake') words='-s --sprite -o --org --json --no-color -h --help' ;;
    'pin') words='-s --sprite -o --org --json --no-color -h --help' ;;
    'unpin') words='-s --sprite -o --org --json --no-color -h --help' ;;
    'destroy') words='-s --sprite -o --org --json --no-color -h --help -f --force' ;;
    'url') words='-s --sprite -o --org --json --no-color -h --help' ;;
    'url update') words='-s --sprite -o --org --json --no-color -h --help -a --auth' ;;
    'config update') words='-s --sprite -o --org --json --no-color -h --help --url-auth --private-access --label --clear-labels --sleep-after --sleep-deep-after' ;;
    'exec') words='-s --sprite -o --org --no-color -h --help -d --dir -e --env -t --tty --file --detachable --id --http-post' ;;
    'console') words='-s --sprite -o --org --no-color -h --help' ;;
    'sessions list') words='-s --sprite -o --org --json --no-color -h --help' ;;
    'sessions attach') words='-s --sprite -o --org --no-color -h --help' ;;
    'sessions kill') words='-s --sprite -o --org --json --no-color -h --help --signal' ;;
    'logs') words='-s --sprite -o --org --no-color -h --help --boot -f --follow' ;;
    'checkpoint create') words='-s --sprite -o --org --json --no-color -h --help --comment --memory' ;;
    'checkpoint list') words='-s --sprite -o --org --json --no-color -h --help --history --include-auto' ;;
    'checkpoint info') words='-s --sprite -o --org --json --no-color -h --help' ;;
    'checkpoint diff') words='-s --sprite -o --org --json --no-color -h --help' ;;
    'checkpoint delete') words='-s --sprite -o --org --json --no-color -h --help' ;;
    'checkpoint restore') words='-s --sprite -o --org --json --no-color -h --help --undo' ;;
    'restore') words='-s --sprite -o --org --json --no-color -h --help --undo' ;;
    'fork') words='-s --sprite -o --org --json --no-color -h --help --checkpoint --memory' ;;
    'export') words='-s --sprite -o --org --json --no-color -h --help' ;;
    'import') words='-s --sprite -o --org --json --no-color -h --help' ;;
    'recover') words='-s --sprite -o --org --json --no-color -h --help --fsck' ;;
    'usage') words='-s --sprite -o --org --json --no-color -h --help' ;;
    'gc') words='-s --sprite -o --org --json --no-color -h --help -n --dry-run' ;;
    'image list') words='-s --sprite -o --org --json --no-color -h --help' ;;
    'image info') words='-s --sprite -o --org --json --no-color -h --help --verify' ;;
    'image build') words='-s --sprite -o --org --json --no-color -h --help --agent --output --mirror --refresh --no-import' ;;
    'image import') words='-s --sprite -o --org --json --no-color -h --help' ;;
    'image export') words='-s --sprite -o --org --json --no-color -h --help' ;;
    'image remove') words='-s --sprite -o --org --json --no-color -h --help' ;;
    'config show') words='-s --sprite -o --org --json --no-color -h --help' ;;
    'config get') words='-s --sprite -o --org --json --no-color -h --help' ;;
    'config set') words='-s --sprite -o --org --json --no-color -h --help' ;;
    'config path') words='-s --sprite -o --org --json --no-color -h --help' ;;
    'daemon start') words='-s --sprite -o --org --json --no-color -h --help' ;;
    'daemon stop') words='-s --sprite -o --org --json --no-color -h --help' ;;
    'daemon restart') words='-s --sprite -o --org --json --no-color -h --help' ;;
    'daemon status') words='-s --sprite -o --org --json --no-color -h --help' ;;
    'daemon logs') words='-s --sprite -o --org --no-color -h --help -f --follow' ;;
    'daemon run') words='-s --sprite -o --org --no-color -h --help --detached --report' ;;
    'doctor') words='-s --sprite -o --org --json --no-color -h --help' ;;
    'api') words='-s --sprite -o --org --no-color -h --help' ;;
    'env') words='-s --sprite -o --org --json --no-color -h --help' ;;
    'completion') words='-s --sprite -o --org --no-color -h --help' ;;
    'version') words='-s --sprite -o --org --json --no-color -h --help' ;;
    'help') words='-s --sprite -o --org --no-color -h --help' ;;
    esac
  elif [[ $verb == "$first" ]]; then
    case $first in
    checkpoint) words='create delete diff info list restore' ;;
    config) words='get path set show update' ;;
    daemon) words='logs restart run start status stop' ;;
    image) words='build export import info list remove' ;;
    sessions) words='attach kill list' ;;
    url) words='update' ;;
    use|destroy|info|start|stop|restart|sleep|wake|pin|unpin|logs|fork|export|usage|recover) words=$(sprite daemon status >/dev/null 2>&1 && sprite list 2>/dev/null </dev/null) ;;
    esac
  fi
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -o default -F _sprite sprite
