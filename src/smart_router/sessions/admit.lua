-- One more request of a caller, apart from any session.
-- KEYS: rate   ARGV: interval_us, burst
return admit(KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2]))
