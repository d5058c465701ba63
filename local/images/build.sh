#!/bin/sh
# Builds the Dockerfile at $SCRATCH/Dockerfile from $CONTEXT as $IMAGE, and leaves it in the folder $SCRATCH/layout:
# `manifest.json` beside the blobs by their hex. Where that would be the image with the id $BEFORE again, leaves nothing.
# All in one, since another build must not come between the steps.
set -eu

# Mounts are counted in the run root; a new one per build has none left over from a build that was killed.
with() {
  command=$1
  shift
  buildah --root "$STORAGE" --runroot "$SCRATCH/run" --storage-driver overlay \
    --registries-conf "$SCRATCH/registries.conf" "$command" "$@"
}

# With layers, the image stays as what the next build takes its unchanged steps from, down to the same digest.
# Without, it goes once it is written out, and this name finds it where a build was killed before.
name=localhost/unfinished
[ "$LAYERS" = false ] || name=$IMAGE
with rm --all
with rmi localhost/unfinished 2> /dev/null || true
with bud --isolation chroot --format oci --pull-always --signature-policy "$SCRATCH/policy.json" \
  ${ARGUMENT:+--build-arg "$ARGUMENT"} ${CERTIFICATES:+--volume "$CERTIFICATES"} --layers="$LAYERS" \
  --file "$SCRATCH/Dockerfile" --iidfile "$SCRATCH/id" --tag "$name" "$CONTEXT"
[ "$(cat "$SCRATCH/id")" != "$BEFORE" ] || exit 0

echo "writing the image"
# Packing layers costs more time, twice, than their room on this disk is worth; and only a `dir:` stays unpacked.
with push --disable-compression --signature-policy "$SCRATCH/policy.json" "$name" "dir:$SCRATCH/layout"
[ "$LAYERS" = true ] || with rmi "$name"
