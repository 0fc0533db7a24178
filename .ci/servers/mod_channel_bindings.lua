-- Channel bindings for Prosody 0.12, whose SCRAM knows only tls-unique, which TLS 1.3 does not have: tls-exporter (RFC
-- 9266) and tls-server-end-point (RFC 5929), computed by OpenSSL. Later versions have them by themselves.
local path = require "util.paths";
local from_hex = require "util.hex".decode;
local load_certificate = require "ssl".loadcertificate;
local sasl = require "util.sasl";
local usermanager = require "core.usermanager";

require "util.sasl.scram".init(function (name, backends, mechanism, bindings)
	bindings = bindings and { "tls-unique", "tls-exporter", "tls-server-end-point" };
	sasl.registerMechanism(name, backends, mechanism, bindings);
end);

-- mod_saslauth puts the socket there.
local function exporter(handler)
	return handler.userdata["tls-unique"]:exportkeyingmaterial("EXPORTER-Channel-Binding", 32, "");
end

-- The certificates of the bench are signed with SHA-256.
local function end_point()
	local file = assert(io.open(path.join(module:get_option_string("certificates"), module.host .. ".crt")));
	local pem = file:read("*a");
	file:close();
	return from_hex(load_certificate(pem):digest("sha256"));
end

-- The handler of a session is made when mod_saslauth announces the mechanisms, and by then the host has its provider.
local wrapped;
module:hook("stream-features", function ()
	local provider = usermanager.get_provider(module.host);
	if wrapped == provider then return; end
	wrapped = provider;
	local get_sasl_handler = provider.get_sasl_handler;
	function provider.get_sasl_handler(session)
		local handler = get_sasl_handler(session);
		handler:add_cb_handler("tls-exporter", exporter);
		return handler:add_cb_handler("tls-server-end-point", end_point);
	end
end, 10);
