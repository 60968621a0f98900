"""What runs inside Redis. Each script answers everything of one chunk in one reply, and is atomic. Knows no Twisted.

::

    ocppd:{bus}:holders         hash: charger → "<generation> <node>"
    ocppd:{bus}:lease:<node>    is there as long as the node lives
    ocppd:{bus}:node:<node>     channel: what is published to the node

An entry of the hash counts for as long as the lease of its node is there. The scripts find the leases by what they read
from the hash, so all keys have to be on one server: Redis Cluster is not supported. Generations leave Lua as text with
all their digits, because its own conversion rounds them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha1
from typing import Final

HOLDERS: Final = "ocppd:{bus}:holders"
LEASE: Final = "ocppd:{bus}:lease:"
CHANNEL: Final = "ocppd:{bus}:node:"
#: Chargers or messages that one run of a script handles, so that Redis serves others every few milliseconds.
CHUNK: Final = 500


@dataclass(frozen=True, slots=True)
class Script:
    """A script and the name that Redis knows it by."""

    text: str
    digest: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "digest", sha1(self.text.encode(), usedforsecurity=False).hexdigest())


#: KEYS: the node's lease. ARGV: its milliseconds, the node's channel, a pulse. → whether the lease was there (1, 0), and how
#: many have received the pulse.
RENEW: Final = Script("""
local was_there = redis.call('EXISTS', KEYS[1])
redis.call('SET', KEYS[1], '1', 'PX', ARGV[1])
return {was_there, redis.call('PUBLISH', ARGV[2], ARGV[3])}
""")

#: KEYS: the holders. ARGV: prefix of leases, prefix of channels, the node, [[charger, generation, holds], …]
#: → {charger: generation} of those that another living node holds by a newer connection.
ANNOUNCE: Final = Script("""
local holders, lease, channel, me = KEYS[1], ARGV[1], ARGV[2], ARGV[3]
local living = {}
local function lives(node)
  if living[node] == nil then living[node] = redis.call('EXISTS', lease .. node) == 1 end
  return living[node]
end
local function pair(charger, generation)
  return cjson.encode(charger) .. ':' .. string.format('%.0f', generation)
end

local newer, lost = {}, {}
for _, change in ipairs(cjson.decode(ARGV[4])) do
  local charger, generation, holds = change[1], change[2], change[3]
  local held, node = string.match(redis.call('HGET', holders, charger) or '', '^(%d+) (.+)$')
  held = tonumber(held)
  if not holds then
    if node == me and held <= generation then redis.call('HDEL', holders, charger) end
  elseif node and node ~= me and held >= generation and lives(node) then
    if held > generation then newer[#newer + 1] = pair(charger, held) end
  else
    redis.call('HSET', holders, charger, string.format('%.0f', generation) .. ' ' .. me)
    if node and node ~= me and held < generation then
      lost[node] = lost[node] or {}
      table.insert(lost[node], pair(charger, generation))
    end
  end
end
for node, chargers in pairs(lost) do
  redis.call('PUBLISH', channel .. node, '{"type":"superseded","chargers":{' .. table.concat(chargers, ',') .. '}}')
end
return '{' .. table.concat(newer, ',') .. '}'
""")

#: KEYS: the holders. ARGV: prefix of leases, [charger, …], one at least. → the entries of the hash, "" where nobody living
#: holds the charger.
FIND: Final = Script("""
local living = {}
local entries = redis.call('HMGET', KEYS[1], unpack(cjson.decode(ARGV[2])))
for i = 1, #entries do
  local node = entries[i] and string.match(entries[i], '^%d+ (.+)$')
  if node and living[node] == nil then living[node] = redis.call('EXISTS', ARGV[1] .. node) == 1 end
  if not node or not living[node] then entries[i] = '' end
end
return cjson.encode(entries)
""")

#: ARGV: prefix of leases, prefix of channels, [[node, message], …], one at least. → to how many each was published. A node
#: that is cut off is subscribed until TCP notices, and hears nothing; its lease tells earlier.
PUBLISH: Final = Script("""
local receivers = {}
for i, sent in ipairs(cjson.decode(ARGV[3])) do
  local lives = redis.call('EXISTS', ARGV[1] .. sent[1]) == 1
  receivers[i] = lives and redis.call('PUBLISH', ARGV[2] .. sent[1], sent[2]) or 0
end
return cjson.encode(receivers)
""")

SCRIPTS: Final = (RENEW, ANNOUNCE, FIND, PUBLISH)
