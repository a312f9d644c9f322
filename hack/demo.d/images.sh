# shellcheck shell=bash
# A registry, and the two images that servers boot here. Simulated machines start what they load
# only in name, so kernel and initial RAM disk are a few kilobytes of anything; a virtual machine gets
# the real discovery image.
: "${hack:?}" "${folder=}" "${registry=}"

start_registry() {
  local since=${EPOCHREALTIME//[!0-9]/}
  mkdir images
  cat >registry.yml <<Y
version: 0.1
log: { level: warn, accesslog: { disabled: true } }
storage: { filesystem: { rootdirectory: $PWD/images } }
http: { addr: 127.0.0.1:5000 }
Y
  ln -s "$registry" bin/docker-registry
  spawn registry "$PWD/bin/docker-registry" serve "$PWD/registry.yml"
  wait_until 30 "the registry answers" answers http://127.0.0.1:5000/v2/
  if [ -n "$vm" ]; then
    "$hack/discovery-image" push "$folder/discovery" 127.0.0.1:5000/discovery-os:dev --plain-http \
      >discovery.log 2>&1 || fail "$(tail -n 3 discovery.log)"
  else
    push discovery-os dev
  fi
  push demo-os 1
  done_in "$since" "registry has the images discovery-os:dev and demo-os:1"
}

# answers URL
answers() { curl -fsS --max-time 2 -o /dev/null "$1" 2>/dev/null; }

# push NAME TAG: an image with a kernel and an initial RAM disk, for one architecture of an index.
push() {
  local name=$1 tag=$2 oci=application/vnd.oci.image layers=() part manifest
  for part in kernel initramfs; do
    { echo "$part of $name:$tag" && head -c 65536 /dev/zero; } >layer
    upload_blob "$name" layer
    layers+=("$(descriptor "application/vnd.ironcore.image.$part" layer)")
  done
  echo '{}' >config
  upload_blob "$name" config
  manifest=$(printf '{"schemaVersion":2,"mediaType":"%s","config":%s,"layers":[%s,%s]}' \
    "$oci.manifest.v1+json" "$(descriptor "$oci.config.v1+json" config)" "${layers[@]}")
  printf %s "$manifest" >manifest
  upload_manifest "$name" "$(digest manifest)" "$oci.manifest.v1+json" manifest
  printf '{"schemaVersion":2,"mediaType":"%s","manifests":[%s]}' "$oci.index.v1+json" \
    "$(descriptor "$oci.manifest.v1+json" manifest '{"os":"linux","architecture":"amd64"}')" >index
  upload_manifest "$name" "$tag" "$oci.index.v1+json" index
}

digest() { printf 'sha256:%s\n' "$(sha256sum "$1" | cut -d ' ' -f 1)"; }

# descriptor MEDIA_TYPE FILE [PLATFORM]
descriptor() {
  printf '{"mediaType":"%s","size":%d,"digest":"%s"%s}' \
    "$1" "$(stat -c %s "$2")" "$(digest "$2")" "${3:+,\"platform\":$3}"
}

# upload_blob NAME FILE
upload_blob() {
  local at
  at=$(curl -fsS --max-time 30 -X POST -D - -o /dev/null "http://127.0.0.1:5000/v2/$1/blobs/uploads/" |
    tr -d '\r' | sed -n 's/^location: //Ip')
  curl -fsS --max-time 30 -X PUT -o /dev/null -H 'content-type: application/octet-stream' \
    --data-binary "@$2" "$at&digest=$(digest "$2")" || fail "the registry does not take $2 of $1"
}

# upload_manifest NAME REFERENCE MEDIA_TYPE FILE
upload_manifest() {
  curl -fsS --max-time 30 -X PUT -o /dev/null -H "content-type: $3" --data-binary "@$4" \
    "http://127.0.0.1:5000/v2/$1/manifests/$2" || fail "the registry does not take the $4 of $1"
}
