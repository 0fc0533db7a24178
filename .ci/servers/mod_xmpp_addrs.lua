-- XmppAddrs of other servers for Prosody 0.12, whose mod_s2s_auth_certs asks its util.x509 for the service "xmpp-server",
-- while that looks at XmppAddrs for "_xmpp-server" only.
module:set_global();

local verify_identity = require "util.x509".verify_identity;

module:hook("s2s-check-certificate", function (event)
	local session, host, cert = event.session, event.host, event.cert;
	if cert and host and session.cert_chain_status == "valid" and verify_identity(host, "_xmpp-server", cert) then
		session.cert_identity_status = "valid";
	end
end, 508);
