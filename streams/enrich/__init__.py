"""What can be told about an event from its address, referrer, user agent, IP address and visitor.

facts.py       what a step may look at, and the columns that come out
chain.py       the steps of one worker in their order, for a batch at a time
guard.py       a step's time budget and failure policy: an event is never dropped, it is left with empty columns
memo.py        bounded caches: what repeats is worked out once
user_agent.py  browser, system, kind of device, bot
referrer.py    where the visitor came from; sources.py holds the list of names, hosts.py what a host is
campaign.py    UTM parameters and click ids; channel.py sums them up with the referrer
geo.py         country, region and city, where a database file is set
session.py     a session for events whose client sent none

Knows no Kafka, no Faust and no contract: strings in, strings out.
"""
