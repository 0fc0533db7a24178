# shellcheck shell=bash
# Starts and stops the servers of the bench, which sources it: `here` is its directory, `directory` a new empty one.
: "${here:?}" "${directory:?}"

# name:pid of what runs
servers=()
# The address of the fallback ports, which have fixed numbers; nobody else uses it.
readonly fallback_address="127.52.$((RANDOM % 256)).$((RANDOM % 254 + 1))"
readonly port_names=(
    AUTHORITATIVE UNBOUND DNSMASQ PROSODY_DIRECT PROSODY_STARTTLS PROSODY_S2S PROSODY_S2S_DIRECT PROSODY_ALPN
    EJABBERD_DIRECT EJABBERD_STARTTLS EJABBERD_S2S EJABBERD_S2S_DIRECT MULTIPLEXER WEB SOCKS HTTP_PROXY
)
# The placeholders of the templates, as arguments of sed.
substitutions=()
# No server needs a privilege, and some refuse to start with them. They also end when the bench is killed outright.
if ((EUID == 0)); then
    readonly unprivileged=(setpriv --reuid=nobody --regid=nogroup --clear-groups --no-new-privs --pdeathsig TERM --)
else
    readonly unprivileged=(setpriv --pdeathsig TERM --)
fi

# substitute NAME VALUE: from now on `render` puts VALUE where a template says @NAME@.
substitute() {
    substitutions+=(-e "s|@$1@|$2|g")
}

# render TEMPLATE FILE
render() {
    sed "${substitutions[@]}" "$here/$1.in" >"$directory/$2"
    if grep -n '@[A-Z_]*[A-Z]@' "$directory/$2"; then
        fail "$1.in: nothing is known about the placeholders above"
    fi
}

# launch NAME COMMAND...: in the background, unprivileged, in a directory of its own, its output in a log.
launch() {
    local name=$1
    shift
    (cd "$directory/$name" && exec "${unprivileged[@]}" "$@") >"$directory/log/$name" 2>&1 </dev/null &
    servers+=("$name:$!")
}

# pid_of NAME
pid_of() {
    local entry
    for entry in "${servers[@]}"; do
        [[ ${entry%:*} != "$1" ]] || echo "${entry#*:}"
    done
}

# The hashes in TLSA records: of the key that all certificates have, and of the certificate of their authority.
hash_certificates() {
    local sha256='{ print $1 }'
    substitute KEY_HASH "$(openssl x509 -in "$directory/certificates/signed.test.crt" -noout -pubkey |
        openssl pkey -pubin -outform DER | sha256sum | awk "$sha256")"
    substitute CA_HASH "$(openssl x509 -in "$directory/certificates/CA.pem" -outform DER | sha256sum | awk "$sha256")"
    substitute NO_HASH "$(printf '%064d' 0)"
}

# A zone file each, and 70 SRV records on top: about 3 kB, the limit for UDP is 1232 octets.
write_zones() {
    local number
    render test.zone zones/test.zone
    render signed.zone zones/signed.test.zone
    render signed.zone zones/bogus.test.zone
    for number in {1..70}; do
        printf '_xmpps-client._tcp.big SRV %d %d %d server%d.big\nserver%d.big A 127.0.0.1\n' \
            $((number / 10)) $((number % 10)) "$PROSODY_DIRECT" "$number" "$number"
    done >>"$directory/zones/test.zone"
}

# Makes the keys of the signed zones; the trust anchors for Unbound become placeholders.
make_zone_keys() {
    local zone keymgr=("${unprivileged[@]}" keymgr -c "$directory/knot.conf")
    for zone in signed.test bogus.test; do
        "${keymgr[@]}" "$zone" generate algorithm=ECDSAP256SHA256 ksk=yes zsk=yes >/dev/null
    done
    # For resolvers that validate by themselves.
    "${keymgr[@]}" signed.test dnskey | sed 's/ DNSKEY / IN DNSKEY /' >"$directory/anchors"
    # Digest type 2 is SHA-256 (RFC 4509).
    substitute SIGNED_DS "$("${keymgr[@]}" signed.test ds | awk '$5 == 2')"
    substitute BOGUS_DS "$("${keymgr[@]}" bogus.test ds | awk '$5 == 2 { $6 = sprintf("%064d", 1); print }')"
}

# An account of prosody.test: user, with the password secret. File names have dots escaped.
make_account() {
    local accounts="$directory/prosody/prosody%2etest/accounts"
    mkdir -p "$accounts"
    echo 'return { password = "secret" }' >"$accounts/user.dat"
}

# ejabberdctl insists on the user ejabberd and on a node name, and with it on epmd, which would stay behind.
launch_ejabberd() {
    local beams=(/usr/lib/*/ejabberd-*/ebin/ejabberd.beam)
    launch ejabberd env HOME="$directory/ejabberd" ERL_LIBS="${beams[0]%/*/*/*}" ERL_CRASH_DUMP_BYTES=0 \
        EJABBERD_CONFIG_PATH="$directory/ejabberd.yml" EJABBERD_LOG_PATH="$directory/ejabberd/ejabberd.log" \
        erl -noinput -mnesia dir "\"$directory/ejabberd\"" -s ejabberd
}

# Waits until every server answers at every port, at most 30 s.
wait_for_answers() {
    local port knot prosody ejabberd haproxy waits
    knot=$(pid_of knot) prosody=$(pid_of prosody) ejabberd=$(pid_of ejabberd) haproxy=$(pid_of haproxy)
    waits=(
        "$knot:knot:dns:_xmpps-client._tcp.signed.test:127.0.0.1:$AUTHORITATIVE"
        "$(pid_of unbound):unbound:dns:_xmpps-client._tcp.signed.test:127.0.0.1:$UNBOUND"
        "$(pid_of dnsmasq):dnsmasq:dns:_xmpps-client._tcp.dnsmasq.test:127.0.0.1:$DNSMASQ"
        "$prosody:prosody:xmpp:prosody.test:127.0.0.1:$PROSODY_STARTTLS"
        "$ejabberd:ejabberd:xmpp:ejabberd.test:127.0.0.1:$EJABBERD_STARTTLS"
        "$haproxy:haproxy:tcp:$fallback_address:5222"
        "$haproxy:haproxy:tcp:$fallback_address:5269"
    )
    for port in "$PROSODY_DIRECT" "$PROSODY_S2S" "$PROSODY_S2S_DIRECT" "$PROSODY_ALPN"; do
        waits+=("$prosody:prosody:tcp:127.0.0.1:$port")
    done
    for port in "$EJABBERD_DIRECT" "$EJABBERD_S2S" "$EJABBERD_S2S_DIRECT"; do
        waits+=("$ejabberd:ejabberd:tcp:127.0.0.1:$port")
    done
    waits+=("$(pid_of microsocks):microsocks:tcp:127.0.0.1:$SOCKS")
    waits+=("$(pid_of tinyproxy):tinyproxy:tcp:127.0.0.1:$HTTP_PROXY")
    for port in "$MULTIPLEXER" "$WEB"; do
        waits+=("$haproxy:haproxy:tcp:127.0.0.1:$port")
    done
    python3 "$here/answers.py" 30 "${waits[@]}"
}

start_servers() {
    local name ports
    mkdir "$directory"/{certificates,log,plugins,zones,prosody,ejabberd,haproxy,knot,unbound,dnsmasq,microsocks,tinyproxy}
    cp "$here"/mod_*.lua "$directory/plugins"
    make_account
    if ((EUID == 0)); then
        chown -R nobody:nogroup "$directory"/{prosody,ejabberd,haproxy,knot,unbound,dnsmasq}
    fi
    ports=$(python3 "$here/ports.py" "${port_names[@]}")
    eval "$ports"
    for name in "${port_names[@]}"; do
        substitute "$name" "${!name}"
    done
    substitute DIRECTORY "$directory"
    substitute FALLBACK_ADDRESS "$fallback_address"

    bash "$here/certificates" "$directory/certificates"
    hash_certificates
    write_zones
    render knot.conf knot.conf
    make_zone_keys
    for name in prosody.cfg.lua ejabberd.yml haproxy.cfg unbound.conf dnsmasq.conf tinyproxy.conf; do
        render "$name" "$name"
    done

    launch knot knotd -c "$directory/knot.conf"
    launch unbound unbound -c "$directory/unbound.conf"
    launch dnsmasq dnsmasq --conf-file="$directory/dnsmasq.conf"
    launch haproxy haproxy -db -f "$directory/haproxy.cfg"
    launch microsocks microsocks -i 127.0.0.1 -p "$SOCKS" -u user -P secret
    launch tinyproxy tinyproxy -d -c "$directory/tinyproxy.conf"
    launch prosody prosody --config "$directory/prosody.cfg.lua" -F
    launch_ejabberd
    wait_for_answers
}

# Asks every server to end, by its number, and after 5 s makes it.
stop_servers() {
    local entry pid deadline=$((SECONDS + 5))
    for entry in "${servers[@]}"; do
        kill -TERM "${entry#*:}" 2>/dev/null || true
    done
    for entry in "${servers[@]}"; do
        pid=${entry#*:}
        # A child stays in the table until it is waited for, so this number cannot be somebody else's by now.
        while [[ -e /proc/$pid && $(awk '{ print $3 }' "/proc/$pid/stat" 2>/dev/null) != Z ]]; do
            if ((SECONDS >= deadline)); then
                echo "bench: ${entry%:*} does not end; killing it" >&2
                kill -KILL "$pid" 2>/dev/null || true
                break
            fi
            sleep 0.05
        done
        wait "$pid" 2>/dev/null || true
    done
    servers=()
}

# end_with_children PID: asks a process to end, and before it all that descend from it.
end_with_children() {
    local child children=()
    read -r -d '' -a children < <(cat "/proc/$1/task/"*/children 2>/dev/null) || true
    for child in "${children[@]}"; do
        end_with_children "$child"
    done
    kill -TERM "$1" 2>/dev/null || true
}
