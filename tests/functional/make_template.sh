# Run before the tests, as one of them: makes the template that they take copies of (lib.sh), as `sprite image build` does.
TEMPLATES=own
. "$SPRITE_TEST_WORK/tests/lib.sh"
sprite api "/images/$(basename "$SPRITE_TEST_WORK"/images/*)/template" -- --silent --show-error --fail-with-body --request POST
sprite daemon stop
mv "$XDG_DATA_HOME/sprite/templates" "$HOME/"
