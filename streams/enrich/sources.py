"""Names of where visitors come from: search engines, social networks, mail, AI assistants, advertising networks.

A list of ours, short on purpose. The lists that packages bring are years old or fetch themselves from the network
while running. A host stands for itself and what is below it; the longest that fits counts.
"""

from __future__ import annotations

from typing import Final, Literal

SourceType = Literal["search", "social", "email", "paid", "ai"]

_SEARCH: Final = {
    "Ask": "ask.com search.ask.com",
    "AOL": "search.aol.com aol.com",
    "Baidu": "baidu.com",
    "Bing": "bing.com",
    "Brave": "search.brave.com",
    "CocCoc": "coccoc.com",
    "Daum": "daum.net",
    "Dogpile": "dogpile.com",
    "DuckDuckGo": "duckduckgo.com com.duckduckgo.mobile.android",
    "Ecosia": "ecosia.org com.ecosia.android",
    "Exalead": "exalead.com",
    "Google": "com.google.android.googlequicksearchbox syndicatedsearch.goog",
    "Kagi": "kagi.com",
    "Lycos": "lycos.com",
    "Mail.ru": "go.mail.ru",
    "Marginalia": "marginalia.nu marginalia-search.com",
    "MetaGer": "metager.org metager.de",
    "Mojeek": "mojeek.com mojeek.co.uk",
    "MSN": "msn.com",
    "Naver": "naver.com",
    "Petal Search": "petalsearch.com",
    "Presearch": "presearch.com presearch.org",
    "Qwant": "qwant.com",
    "Rambler": "rambler.ru nova.rambler.ru",
    "Seznam": "seznam.cz search.seznam.cz",
    "Shenma": "sm.cn",
    "So.com": "so.com",
    "Sogou": "sogou.com",
    "Startpage": "startpage.com ixquick.com",
    "Swisscows": "swisscows.com",
    "Yahoo": "search.yahoo.com search.yahoo.co.jp",
    "You.com": "you.com",
}
_SOCIAL: Final = {
    "Bluesky": "bsky.app go.bsky.app xyz.blueskyweb.app",
    "Discord": "discord.com discord.gg discordapp.com com.discord",
    "Douyin": "douyin.com",
    "Facebook": "facebook.com fb.com fb.me fb.watch com.facebook.katana com.facebook.lite",
    "Flickr": "flickr.com",
    "Hacker News": "news.ycombinator.com hn.algolia.com",
    "Hatena": "b.hatena.ne.jp",
    "Instagram": "instagram.com ig.me com.instagram.android",
    "KakaoTalk": "kakao.com com.kakao.talk",
    "Lemmy": "lemmy.world lemmy.ml",
    "LINE": "line.me jp.naver.line.android",
    "LinkedIn": "linkedin.com lnkd.in com.linkedin.android",
    "LiveJournal": "livejournal.com",
    "Lobsters": "lobste.rs",
    "Mastodon": "mastodon.social mastodon.online mstdn.social fosstodon.org hachyderm.io org.joinmastodon.android",
    "Medium": "medium.com",
    "Messenger": "messenger.com com.facebook.orca",
    "Mix": "mix.com",
    "Nextdoor": "nextdoor.com",
    "OK.ru": "ok.ru odnoklassniki.ru",
    "Pinterest": "pin.it com.pinterest",
    "Pocket": "getpocket.com",
    "Quora": "quora.com",
    "Reddit": "reddit.com redd.it com.reddit.frontpage",
    "Sina Weibo": "weibo.com weibo.cn t.cn",
    "Slack": "slack.com slack-redir.net com.slack com.tinyspeck.chatlyio",
    "Snapchat": "snapchat.com com.snapchat.android",
    "Telegram": "t.me telegram.org web.telegram.org org.telegram.messenger org.telegram.plus",
    "Threads": "threads.net threads.com com.instagram.barcelona",
    "TikTok": "tiktok.com com.zhiliaoapp.musically",
    "Tumblr": "tumblr.com t.umblr.com",
    "Twitch": "twitch.tv",
    "Viber": "viber.com com.viber.voip",
    "Vimeo": "vimeo.com",
    "VK": "vk.com vk.ru vkontakte.ru com.vkontakte.android",
    "WeChat": "weixin.qq.com mp.weixin.qq.com wechat.com com.tencent.mm",
    "WhatsApp": "whatsapp.com wa.me com.whatsapp",
    "X": "twitter.com x.com t.co com.twitter.android",
    "XING": "xing.com",
    "YouTube": "youtube.com youtu.be com.google.android.youtube",
    "Zhihu": "zhihu.com",
}
_EMAIL: Final = {
    "AOL Mail": "mail.aol.com",
    "Fastmail": "fastmail.com app.fastmail.com",
    "Gmail": "mail.google.com com.google.android.gm",
    "GMX": "gmx.net gmx.com gmx.de gmx.at gmx.ch",
    "HEY": "app.hey.com",
    "iCloud Mail": "icloud.com",
    "Mail.com": "mail.com",
    "Mail.ru": "e.mail.ru",
    "Mailchimp": "list-manage.com campaign-archive.com mailchi.mp",
    "Naver Mail": "mail.naver.com",
    "Outlook": "outlook.live.com outlook.office.com outlook.office365.com mail.live.com com.microsoft.office.outlook",
    "Proton Mail": "mail.proton.me mail.protonmail.com",
    "QQ Mail": "mail.qq.com",
    "Seznam Email": "email.seznam.cz",
    "Superhuman": "mail.superhuman.com",
    "Tuta": "app.tuta.com mail.tutanota.com",
    "WEB.DE": "web.de",
    "Yahoo Mail": "mail.yahoo.com mail.yahoo.co.jp com.yahoo.mobile.client.android.mail",
    "Yandex Mail": "mail.yandex.ru mail.yandex.com",
    "Zoho Mail": "mail.zoho.com mail.zoho.eu",
}
_PAID: Final = {
    "Adform": "adform.net",
    "AdRoll": "adroll.com",
    "Amazon Ads": "amazon-adsystem.com",
    "Bing Ads": "bingads.microsoft.com",
    "Criteo": "criteo.com criteo.net",
    "Google Ads": "googleadservices.com googlesyndication.com doubleclick.net googleads.g.doubleclick.net 2mdn.net",
    "MediaNet": "media.net",
    "MGID": "mgid.com",
    "Outbrain": "outbrain.com",
    "Taboola": "taboola.com",
    "The Trade Desk": "adsrvr.org",
    "Yandex Direct": "an.yandex.ru yabs.yandex.ru",
}
_AI: Final = {
    "ChatGPT": "chatgpt.com chat.openai.com openai.com com.openai.chatgpt",
    "Claude": "claude.ai claude.com com.anthropic.claude",
    "Copilot": "copilot.microsoft.com copilot.com m365.cloud.microsoft",
    "DeepSeek": "deepseek.com",
    "Doubao": "doubao.com",
    "Duck.ai": "duck.ai",
    "Felo": "felo.ai",
    "Gemini": "gemini.google.com bard.google.com com.google.android.apps.bard",
    "Genspark": "genspark.ai",
    "Grok": "grok.com x.ai",
    "HuggingChat": "huggingface.co",
    "iAsk": "iask.ai",
    "Kimi": "kimi.com kimi.ai kimi.moonshot.cn",
    "Le Chat": "chat.mistral.ai",
    "Meta AI": "meta.ai",
    "NotebookLM": "notebooklm.google.com",
    "Perplexity": "perplexity.ai ai.perplexity.app.android",
    "Phind": "phind.com",
    "Poe": "poe.com",
    "Qwen": "chat.qwen.ai qwen.ai",
}
_BY_TYPE: Final[dict[SourceType, dict[str, str]]] = {
    "search": _SEARCH,
    "social": _SOCIAL,
    "email": _EMAIL,
    "paid": _PAID,
    "ai": _AI,
}

# host → (type, name)
HOSTS: Final[dict[str, tuple[SourceType, str]]] = {
    host: (type_, name) for type_, names in _BY_TYPE.items() for name, hosts in names.items() for host in hosts.split()
}

# Search engines and networks that have a domain in each country: known by the label that was registered.
LABELS: Final[dict[str, tuple[SourceType, str]]] = {
    "google": ("search", "Google"),
    "yahoo": ("search", "Yahoo"),
    "yandex": ("search", "Yandex"),
    "pinterest": ("social", "Pinterest"),
}

# Hosts of these companies that lead here without a search.
NOT_SEARCH: Final[dict[str, str]] = {
    "accounts.google.com": "Google Account",
    "calendar.google.com": "Google Calendar",
    "classroom.google.com": "Google Classroom",
    "cloud.google.com": "Google Cloud",
    "developers.google.com": "Google Developers",
    "docs.google.com": "Google Docs",
    "drive.google.com": "Google Drive",
    "groups.google.com": "Google Groups",
    "meet.google.com": "Google Meet",
    "news.google.com": "Google News",
    "play.google.com": "Google Play",
    "sites.google.com": "Google Sites",
    "support.google.com": "Google Support",
    "tagassistant.google.com": "Tag Assistant",
    "translate.google.com": "Google Translate",
    "finance.yahoo.com": "Yahoo Finance",
    "login.yahoo.com": "Yahoo Login",
    "news.yahoo.co.jp": "Yahoo News",
    "news.yahoo.com": "Yahoo News",
    "disk.yandex.ru": "Yandex Disk",
}

# What `utm_source` says instead of a host.
BY_NAME: Final[dict[str, SourceType]] = {
    **{name.lower(): type_ for type_, names in _BY_TYPE.items() for name in names},
    **{name.lower(): type_ for type_, name in LABELS.values()},
    **dict.fromkeys(("fb", "ig", "twitter", "li", "wechat", "tiktok_ads", "meta"), "social"),
    **dict.fromkeys(("newsletter", "email", "e-mail", "mail"), "email"),
}
