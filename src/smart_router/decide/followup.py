"""Turns that say nothing of their own: they can only go on with what was going on."""

import re
import unicodedata

from smart_router.decide.switch import BACK_CHANNEL, NOTHING_SAID

LONGEST = 48  # characters; no back-channel is longer, and nobody needs to read more to know
READ = 1000  # characters of either end that are searched for something to read

# What people say to keep a conversation going: assent, doubt, thanks, "why?", "go on". The whole turn must be one of
# these (Yngve 1970, "On getting a word in edgewise", has the term). English, Hindi in both
# scripts, Tamil, Telugu, Bengali, Marathi, Gujarati, Kannada, Malayalam, Punjabi.
_PHRASES = """
ok | okay | okey | k | kk | yes | yes please | yep | yeah | ya | yup | no | nope
no thanks | hm | hmm | hmmm | uh huh | aha
why | why not | how | how so | how come | what | who | when | where | which one | really
are you sure | you sure | sure
thanks | thank you | thank you so much | thanks a lot | thx | ty | great | good | nice
cool | perfect | awesome | wow | lol | haha
go on | continue | more | next | again | once more | and | and then | then | so | please
pls | right | correct | exactly | got it
i see | fine | alright | all right | never mind | sorry | what do you mean | meaning
huh | oh | oh ok | please continue | go ahead
हाँ | हां | जी | जी हाँ | नहीं | ठीक | ठीक है | अच्छा | क्यों | कैसे | क्या | कब | कौन
सच में | पक्का | धन्यवाद | शुक्रिया | और | और बताओ | आगे | फिर | फिर से | बढ़िया | वाह
haan | han | ji | haan ji | nahi | nahin | nhi | theek hai | thik hai | theek | thik
acha | accha | achha | kyon | kyu | kyun | kaise | kya | kab | kaun
sach me | sach mein | pakka | dhanyavaad | shukriya | aur | aur batao | aage | phir
phir se | badhiya | wah | matlab | sahi hai
ஆமா | ஆமாம் | சரி | இல்லை | இல்ல | ஏன் | எப்படி | என்ன | எப்போ | யார் | நன்றி | அப்புறம்
மேலும் | மறுபடியும் | உண்மையாவா | அப்படியா | நல்லது | சூப்பர்
అవును | సరే | కాదు | వద్దు | ఎందుకు | ఎలా | ఏమిటి | ఏంటి | ఎప్పుడు | ఎవరు | ధన్యవాదాలు
థాంక్స్ | ఇంకా | తర్వాత | మళ్ళీ | మళ్లీ | నిజంగా | నిజమా | బాగుంది
হ্যাঁ | হ্যা | আচ্ছা | ঠিক আছে | না | কেন | কীভাবে | কিভাবে | কী | কি | কখন | কে
ধন্যবাদ | আর | তারপর | আবার | আরও | সত্যি | তাই নাকি | দারুণ | বেশ
हो | होय | बरं | ठीक आहे | नाही | नको | का | कसे | कसं | काय | कधी | कोण | धन्यवाद | आणि
पुढे | मग | पुन्हा | खरंच | छान | मस्त
હા | હાં | સારું | ઠીક છે | ઠીક | ના | કેમ | કેવી રીતે | શું | ક્યારે | કોણ | આભાર | અને
પછી | આગળ | ફરીથી | ખરેખર | સરસ | બરાબર
ಹೌದು | ಸರಿ | ಇಲ್ಲ | ಬೇಡ | ಯಾಕೆ | ಏಕೆ | ಹೇಗೆ | ಏನು | ಯಾವಾಗ | ಯಾರು | ಧನ್ಯವಾದ | ಧನ್ಯವಾದಗಳು
ಮತ್ತೆ | ಆಮೇಲೆ | ಮುಂದೆ | ನಿಜವಾಗಿ | ನಿಜವೇ | ಚೆನ್ನಾಗಿದೆ
അതെ | ശരി | ഇല്ല | വേണ്ട | എന്തുകൊണ്ട് | എന്തിന് | എങ്ങനെ | എന്ത് | എപ്പോൾ | ആര് | നന്ദി
പിന്നെ | എന്നിട്ട് | വീണ്ടും | ശരിക്കും | സത്യം | കൊള്ളാം | നല്ലത്
ਹਾਂ | ਹਾਂ ਜੀ | ਜੀ | ਨਹੀਂ | ਠੀਕ | ਠੀਕ ਹੈ | ਅੱਛਾ | ਕਿਉਂ | ਕਿਵੇਂ | ਕੀ | ਕਦੋਂ | ਕੌਣ | ਧੰਨਵਾਦ
ਸ਼ੁਕਰੀਆ | ਹੋਰ | ਅੱਗੇ | ਫਿਰ | ਫੇਰ | ਸੱਚੀਂ | ਪੱਕਾ | ਵਧੀਆ | ਵਾਹ
"""
_BETWEEN = re.compile(r"[\s!-/:-@\[-`{-~।॥…“”‘’«»–—]+")


def says(text: str) -> str:
    """Why the words of *text* cannot lead elsewhere (`NOTHING_SAID`, `BACK_CHANNEL`); empty if they can."""
    if not any(map(str.isalnum, text[:READ])) and not any(map(str.isalnum, text[-READ:])):
        return NOTHING_SAID
    return BACK_CHANNEL if len(text) <= LONGEST and _folded(text) in _BACK_CHANNELS else ""


def _folded(text: str) -> str:
    return _BETWEEN.sub(" ", unicodedata.normalize("NFKC", text).casefold()).strip()


_BACK_CHANNELS = frozenset(
    _folded(phrase) for line in _PHRASES.splitlines() for phrase in line.split("|") if phrase.strip()
)
