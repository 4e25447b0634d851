-- Forgets outbox entries below a sequence. ARGV: 3 the least id that stays.
local refused = refusal()
if refused then return refused end
redis.call('XTRIM', KEYS[4], 'MINID', '=', ARGV[3])
return {'done', ''}
