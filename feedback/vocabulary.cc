#include "feedback/vocabulary.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <string>
#include <unordered_map>

#include "feedback/language.h"

namespace nudge {
namespace {

using enum Direction;

struct Group {
  Word word;
  double value;
  std::string_view phrases;  // with bars between; apostrophes are left out: "dont"
};

constexpr double number_of(Direction d) { return static_cast<double>(d); }
constexpr double number_of(Amount::Kind k) { return static_cast<double>(k); }

constexpr Group kGroups[] = {
    {Word::kFiller, 0,
     "please|pls|plz|kindly|um|umm|uh|uhh|uhm|er|erm|hmm|hm|mm|ah|oh|hey|okay|ok|okey|alright|"
     "all right|right now|right away|straight away|at once|immediately|now|just|well|"
     "can you|could you|would you|will you|can we|could we|can you please|would you mind|"
     "do you mind|if you could|if you can|if you would|if you dont mind|if you please|if possible|"
     "for me|thanks|thank you|cheers|mate|buddy|pal|friend|my friend|lets|let us|try|try to|"
     "i think|i guess|i mean|i said|i say|i want|i want you to|i want it|i want it to|id like|"
     "id like it|id like you to|i would like|i would like you to|i need|i need it|i need you to|"
     "need you to|want you to|"
     "you need to|you have to|you should|you must|youve got to|you gotta|you can|you could|"
     "you want to|you may|you might want to|"
     "need to|have to|gotta|got to|must|maybe|perhaps|possibly|probably|kind of|kinda|sort of|"
     "how about|what about|for now|again|more|even|still|once more|one more time|actually|"
     "basically|really|very|yourself|instead|as well|then please|only|straight|directly|"
     "quite|simply|go on and|go ahead and|thx|ty|diagonally|any|any more|anymore|harder|firmly|"
     "more firmly|you overshot|overshot|that would be great|that would be nice|that would help|"
     "that would be good|id prefer|id prefer it|i prefer it|i would prefer it|can it be|could it "
     "be|"
     "can it go|could it go|or so|or two|or thereabouts|please do|please just|i would say|id say"},
    {Word::kAnd, 0, "and|plus|also|&"},
    {Word::kThen, 0, "then|and then|after that|afterwards"},
    {Word::kStatement, 0,
     "youre|you are|its|it is|thats|that is|this is|that was|it was|you were|were|we are|"
     "the gripper is|the arm is|the hand is|the tool is|the robot is|gripper is|arm is|hand is|"
     "tool is|robot is|your hand is|your arm is|your gripper is|seems|it seems|that seems|"
     "it looks|looks|that looks|youre going|you are going|its going|youre moving|you are moving|"
     "youre getting|you are getting|its getting|it is getting|youre coming|you are coming|"
     "you went|you got|thats gone|youve gone|you have gone|going|moving|coming|a wee bit going"},
    {Word::kStatement, 1, "is|are"},  // only behind a part of the robot: else it is a question
    {Word::kWish, 0,
     "should be|should go|should move|needs to be|need to be|has to be|have to be|ought to be|"
     "must be|it should be|it needs to be|you should be|you need to be|you have to be|wants to be|"
     "should come|it should go|it has to be|id like you|i want you|i need you|"
     "needs to go|needs to come|needs to move|has to go|has to come|has to move|should be going|"
     "the gripper should be|the hand should be|the arm should be|the tool should be"},
    {Word::kYou, 0, "you"},
    {Word::kIt, 0, "it"},
    {Word::kDeterminer, 0, "the|your|this"},
    {Word::kDeterminer, 1, "that"},
    {Word::kPart, 0,
     "hands|arms|tools|robots|gripper|grippers|hand|arm|tool|claw|claws|finger|fingers|fingertips|"
     "wrist|robot|robot arm|"
     "robot hand|end effector|effector|tip|tool tip|tooltip|pincer|pincers|jaw|jaws|whole arm|"
     "robo"},
    {Word::kVerb, 0,
     "go|move|shift|nudge|come|bring|scoot|scooch|slide|ease|push|bump|jog|shuffle|budge|edge|"
     "creep|head|drift|glide|hop|step|float|pop|travel|get|be|make|steer|scootch|pull|bring "
     "yourself|"
     "keep going|keep moving|keep coming|try going|try moving|start moving|start going|going to go|"
     "mind going|mind moving|mind coming|adjust|correct|reposition|tweak|make your way|give me|"
     "id go|i would go|id move|give it|wiggle|squeeze over|work your way|move over|"
     "would you mind going|would you mind moving|would you mind coming|do you mind moving|"
     "do you mind going|lean|drag|hover|slip|sidestep"},

    {Word::kWay, number_of(kUp), "up|upward|upwards|to the top side"},
    {Word::kMore, number_of(kUp),
     "higher|higher up|raise|raise up|rise|rise up|ascend|elevate|climb|climb up|lift up|raised|"
     "heighten|mind raising|would you mind raising|do you mind raising|go higher|gain height|"
     "gain some height|lift higher|less low|upper"},
    {Word::kQuality, number_of(kUp), "high|high up"},
    {Word::kWay, number_of(kDown), "down|downward|downwards"},
    {Word::kMore, number_of(kDown),
     "lower|lower down|sink|sink down|descend|dip|dip down|drop down|lowered|mind lowering|"
     "would you mind lowering|do you mind lowering|go lower|lose height|lose some height|less "
     "high"},
    {Word::kQuality, number_of(kDown), "low|low down|deep"},
    {Word::kWay, number_of(kLeft),
     "left|leftward|leftwards|to the left|to my left|my left|toward the left|towards the left|"
     "toward my left|towards my left|to left|to the left hand side|to the left side|"
     "to my left side|in the left direction|in left direction|off to the left|off to my left"},
    {Word::kWay, number_of(kRight),
     "rightward|rightwards|to the right|to my right|my right|toward the right|towards the right|"
     "toward my right|towards my right|to right|to the right hand side|to the right side|"
     "to my right side|off to the right|off to my right"},
    {Word::kWay, number_of(kRobotLeft),
     "your left|to your left|toward your left|towards your left|robots left|to the robots left|"
     "the robots left|to robots left|your left side|to your left side|to its left|its left"},
    {Word::kWay, number_of(kRobotRight),
     "your right|to your right|toward your right|towards your right|robots right|"
     "to the robots right|the robots right|to robots right|your right side|to your right side|"
     "to its right|its right"},
    {Word::kWay, number_of(kAway),
     "away|away from me|away from us|off from me|away from here|away from the camera|"
     "back away from me|in the other direction from me"},
    {Word::kMore, number_of(kAway),
     "further away|farther away|further from me|farther from me|further away from me|"
     "farther away from me|further off|farther off|less close"},
    {Word::kWay, number_of(kNear),
     "toward me|towards me|to me|my way|over to me|near me|close to me|come here|in my direction|"
     "toward us|towards us|toward the camera|towards the camera|to my side|toward my side|"
     "towards my side|over here to me|up to me"},
    {Word::kMore, number_of(kNear),
     "closer|nearer|closer to me|nearer to me|nearer me|closer toward me|closer towards me|"
     "closer to us|closer to the camera|closer in to me|less far away|in closer|in closer to me|"
     "in a little closer|in a bit closer|in a little closer to me|in a bit closer to me"},
    {Word::kQuality, number_of(kNear), "near"},
    {Word::kWay, number_of(kForward), "forward|forwards|ahead|straight ahead|onward|onwards"},
    {Word::kMore, number_of(kForward),
     "reach|reach out|reach forward|extend|extend out|extend forward|advance|go forward|"
     "extend your reach|stretch out|further out|farther out"},
    {Word::kWay, number_of(kBack), "backward|backwards|rearward|rearwards"},
    {Word::kMore, number_of(kBack),
     "retract|pull back|draw back|back off|back away|back it up|back yourself up|pull in|"
     "pull yourself back|pull it back|withdraw|retreat"},
    {Word::kWay, number_of(kTurnRight), "clockwise|cw"},
    {Word::kWay, number_of(kTurnLeft),
     "counterclockwise|counter clockwise|anticlockwise|anti clockwise|ccw"},
    {Word::kQuality, number_of(Direction::kClose), "tight|tightly"},
    {Word::kQuality, number_of(kOpen), "loose|loosely"},

    {Word::kRight, 0, "right"},
    {Word::kBack, 0, "back"},
    {Word::kBackUp, 0, "back up"},
    {Word::kOver, 0, "over"},
    {Word::kFurther, 0,
     "further|farther|any further|any farther|other way|the other way|the other direction|"
     "other direction|opposite direction|the opposite direction|the opposite way|opposite way"},
    {Word::kFar, 0, "far"},
    {Word::kClose, 0, "close"},
    {Word::kLift, 0, "lift|lift it"},
    {Word::kDrop, 0, "drop|drop it|drop that|let it drop"},
    {Word::kTurn, 0, "turn|rotate|twist|spin|swivel|pivot|turn it|rotate it|twist it|spin it"},
    {Word::kTurn, 1, "tilt|pitch|tilt it"},
    {Word::kTurn, 2, "roll|roll it"},

    {Word::kToo, 0, "too|to far|a little too|overly"},
    {Word::kSo, 0, "so|that much|so much|as|quite so|quite that|all that|as much"},
    {Word::kEnough, 0, "enough"},
    {Word::kNot, 0,
     "dont|do not|never|not|cannot|cant|can not|wont|will not|mustnt|must not|shouldnt|should not|"
     "no need to|without|isnt|is not|arent|aint|youre not|its not|thats not|you are not|it is not|"
     "that is not|dont be|dont go|dont move|do not go|do not move|dont come|do not come|didnt|"
     "did not|neither|nor|avoid|stay off|keep off|rather not"},
    {Word::kNo, 0, "no|nope|nah|nono"},

    {Word::kSize, number_of(Amount::Kind::kTiny),
     "a hair|hair|a tiny bit|tiny bit|tiny|a tiny amount|a smidge|smidge|a smidgen|smidgen|"
     "a whisker|whisker|a fraction|fractionally|a touch|touch|a tad|tad|a wee bit|wee bit|"
     "ever so slightly|very slightly|a teeny bit|teeny bit|a tiny little bit|a teensy bit|barely|"
     "a skosh|skosh|a hint|a sliver|a shade|a trifle|a hairs breadth|a wee|just a hair|"
     "a very little bit|a very small amount|the tiniest bit|a tiny touch|a wee touch"},
    {Word::kSize, number_of(Amount::Kind::kSmall),
     "a bit|bit|a little|little|a little bit|little bit|slightly|a notch|a step|a small step|"
     "somewhat|some|a little more|slightly more|a small amount|a small bit|a bit more|a little bit "
     "more|another bit|"
     "another little bit|another touch|another notch|another step|a bit further|a bit farther|"
     "a little further|a little farther|one step|one notch|a small way|a little way|a short way|"
     "a bit of|a dash|by a bit|by a little|a nudge|a few steps|some more|a tad more"},
    {Word::kSize, number_of(Amount::Kind::kLarge),
     "a lot|lots|much|way|a good bit|quite a bit|quite a lot|a fair bit|a great deal|a whole lot|"
     "a big step|a good deal|a lot more|considerably|significantly|substantially|a big bit|"
     "a large amount|loads|heaps|a ton|much more|a good way|a long way|by a lot|way way|"
     "quite a way|quite some"},

    {Word::kNumber, 0, "zero"},
    {Word::kNumber, 0.25, "a quarter of a|a quarter of an|quarter of a|quarter of an|quarter"},
    {Word::kNumber, 0.5, "half|half a|half an|a half|half of a|half of an|a half a"},
    {Word::kNumber, 0.75, "three quarters of a|three quarters of an"},
    {Word::kNumber, 1, "one|another"},
    {Word::kNumber, 1.5, "one and a half|an inch and a half of"},
    {Word::kNumber, 2, "two|a couple|a couple of|couple of|couple|a pair of"},
    {Word::kNumber, 3, "three|a few|few"},
    {Word::kNumber, 4, "four"},
    {Word::kNumber, 5, "five"},
    {Word::kNumber, 6, "six"},
    {Word::kNumber, 7, "seven"},
    {Word::kNumber, 8, "eight"},
    {Word::kNumber, 9, "nine"},
    {Word::kNumber, 10, "ten"},
    {Word::kNumber, 12, "twelve|a dozen"},
    {Word::kNumber, 15, "fifteen"},
    {Word::kNumber, 20, "twenty"},
    {Word::kNumber, 25, "twenty five"},
    {Word::kNumber, 30, "thirty"},
    {Word::kNumber, 40, "forty"},
    {Word::kNumber, 45, "forty five"},
    {Word::kNumber, 50, "fifty"},
    {Word::kNumber, 60, "sixty"},
    {Word::kNumber, 70, "seventy"},
    {Word::kNumber, 75, "seventy five"},
    {Word::kNumber, 80, "eighty"},
    {Word::kNumber, 90, "ninety"},
    {Word::kNumber, 100, "hundred|a hundred|one hundred"},
    {Word::kNumber, 1000, "thousand|a thousand|one thousand"},
    {Word::kArticle, 1, "a|an"},
    {Word::kAndAHalf, 0.5, "and a half"},
    {Word::kFiller, 0, "about|around|roughly|approximately|by|by about|by around|by roughly|like"},
    {Word::kUnit, 0.001, "millimetre|millimetres|millimeter|millimeters|mil|mils|milli|millis"},
    {Word::kUnit, 0.01, "centimetre|centimetres|centimeter|centimeters|centi|centis"},
    {Word::kUnit, 1, "metre|metres|meter|meters"},
    {Word::kUnit, 1000, "kilometre|kilometres|kilometer|kilometers|km|mile|miles"},
    {Word::kUnit, 0.0254, "inches"},
    {Word::kUnit, 0.3048, "foot|feet"},
    {Word::kUnit, 0.9144, "yard|yards"},
    {Word::kShortUnit, 0.001, "mm|mms"},
    {Word::kShortUnit, 0.01, "cm|cms"},
    {Word::kShortUnit, 1, "m"},
    {Word::kShortUnit, 0.0254, "in|ins|\""},
    {Word::kShortUnit, 0.3048, "ft"},
    {Word::kInch, 0.0254, "inch"},
    {Word::kDegrees, 1, "degree|degrees|deg|degs"},
    {Word::kPercent, 0.01, "%|percent|per cent"},
    {Word::kSpeedNoun, 0,
     "speed|pace|tempo|velocity|of normal speed|of your speed|of the speed|of full speed|of speed|"
     "of your normal speed|of its speed|at|to|of the normal speed"},

    {Word::kHold, 0,
     "stop|halt|freeze|wait|whoa|woah|pause|stop it|stop that|stop there|stop moving|stop now|"
     "hold on|hold it|hold still|hold up|hold there|hold position|hold your position|hold that|"
     "hold everything|hold fire|hang on|hang on a second|hang on a sec|hang tight|stand still|"
     "stand by|stay there|stay put|stay still|stay where you are|stay right there|dont move|"
     "do not move|dont go any further|dont move any further|not any further|no further|no farther|"
     "abort|watch out|look out|cut it out|knock it off|quit it|quit that|quit moving|cease|"
     "emergency stop|e stop|estop|danger|right there|thats enough|"
     "wait a second|wait a sec|wait a minute|wait a moment|wait there|one moment|one second|"
     "just a second|just a moment|just a sec|a moment|one sec|give me a second|give me a moment|"
     "give me a sec|stop right there|hold it right there|halt there|freeze there|be still|"
     "keep still|stay as you are|dont do that|do not do that|stop doing that|dont do anything|"
     "time out|timeout|brake|brakes|hold your horses|not another inch|no more|nobody move|"
     "enough already|stop going|stop what youre doing|come to a stop|come to a halt|ouch|ow|"
     "thats dangerous|youre going to hit|youll hit|youll break|wrong way|not that way|not this way|"
     "wrong direction|thats the wrong way|thats wrong|watch it|youre about to|its about to|"
     "youre going to crash|youre going to break|youre hitting|youre touching|good there|"
     "thats good there|perfect there|thats perfect there|right there is good|there is good|leave "
     "it there|leave it like that|"
     "stopp|stp|sotp|stpo|stpp|tsop|hault|stahp|wiat"},
    {Word::kWeakHold, 0, "hold|stay|cancel|help|quit|hold steady|steady there|rest|stall|oi"},

    {Word::kSlower, 0.7,
     "slower|slow down|slow it down|slow up|more slowly|go slow|go slower|take it slow|"
     "take it slower|take your time|gentler|more gently|more gentle|ease up|ease off|calm down|"
     "be careful|careful|more careful|more carefully|reduce speed|reduce the speed|"
     "reduce your speed|lower the speed|lower your speed|lower speed|less speed|less fast|"
     "less quickly|easy|easy now|easy does it|take it easy|go easy|be gentle|be gentler|softer|"
     "steady|steady on|not so quick|dont rush|do not rush|no rush|no hurry|dont hurry|"
     "slow down the pace|slower pace|a slower pace|at a slower pace|decelerate|drop the speed|"
     "drop your speed|slow your pace|slow your roll|chill|cool it|take care|be more careful|"
     "be more gentle|move slower|speed down|reduce your pace|reduce the pace|decrease the speed|"
     "decrease speed|decrease your speed|gently does it|easy there|easy on the speed|ease up on "
     "the speed|go gently|"
     "dial it down|dial the speed down|slow things down"},
    {Word::kFaster, 1.0 / 0.7,
     "faster|speed up|speed it up|quicker|more quickly|hurry|hurry up|pick up the pace|"
     "pick up speed|step it up|more speed|increase speed|increase the speed|increase your speed|"
     "get a move on|go quicker|go faster|less slow|less slowly|a faster pace|faster pace|"
     "raise the speed|raise your speed|accelerate|move faster|quicken|quicken the pace|"
     "bring the speed up|speed things up"},
    {Word::kFaster, 2, "twice as fast|double speed|double the speed|double your speed"},
    {Word::kSlower, 0.5, "twice as slow|twice as slowly"},
    {Word::kSpeed, 0.5,
     "half speed|at half speed|half the speed|half as fast|half your speed|half of the speed|"
     "at half the speed|to half speed|halve the speed|halve your speed|halve speed|half pace|"
     "half velocity|half the pace"},
    {Word::kSpeed, 0.25,
     "quarter speed|a quarter of the speed|at quarter speed|quarter of the speed|minimum speed|"
     "as slow as you can|as slow as possible|as slowly as possible|as slowly as you can|"
     "slowest speed|a quarter speed|at a quarter speed|very slowly|super slow|really slowly|"
     "lowest speed"},
    {Word::kSpeed, 0.75, "three quarter speed|three quarters speed"},
    {Word::kSpeed, 1,
     "full speed|at full speed|normal speed|at normal speed|usual speed|regular speed|"
     "original speed|your own speed|your normal speed|your usual speed|default speed|"
     "back to normal speed|back to full speed|back to normal|normal pace|full pace|"
     "the normal speed|to normal speed|back to your normal speed|back to the normal speed|"
     "go back to normal speed|go back to full speed|return to normal speed|resume normal speed"},
    {Word::kSlow, 0, "slow"},
    {Word::kFast, 0, "fast|quick|quickly|rapidly|rushed"},
    {Word::kManner, 0, "slowly|gently|carefully|softly|smoothly|steadily|gradually|nice and slow"},

    {Word::kGrip, 0,
     "close up|close it|grip|grip it|squeeze|squeeze it|clamp|clamp it|clamp down|clench|pinch|"
     "tighten|tighten up|tighten it|tighten your grip|tighter|hold tighter|hold it tighter|"
     "hold on tighter|hold it more tightly|hold more tightly|hold it firmly|hold it harder|"
     "grip harder|grip tighter|grip it tighter|grip it harder|grip firmly|firmer|firmer grip|"
     "a firmer grip|a tighter grip|tighter grip|get a better grip|get a tighter grip|clasp|"
     "shut|close your grip|squeeze harder|squeeze tighter|grasp tighter|grasp harder|grip more "
     "tightly|grip more|"
     "grip more firmly|less loose|snug it up|tighten the grip|hold it more firmly|grip hard|"
     "mind closing|would you mind closing"},
    {Word::kLetGo, 0,
     "open|open up|open it|open wide|open wider|let go|let it go|let go of it|release|release it|"
     "ungrip|unclamp|loosen|loosen up|loosen it|loosen your grip|looser|relax your grip|let loose|"
     "ease your grip|unhand it|release your grip|let go now|loosen the grip|release the grip|"
     "less tight|less tightly|open fully|let that go|let go of that|release that|not so hard|"
     "dont squeeze so hard|dont grip so hard|let go of this|let go of what youre "
     "holding|wider|unclench|drop what youre holding|"
     "drop what you are holding|looser grip|a looser grip|release what youre holding"},
    {Word::kGoBack, 0, "go back"},
    {Word::kGoBack, 1,
     "undo|undo that|undo it|undo the last one|undo last|undo the last move|take that back|"
     "reverse|reverse that|reverse it|go back to where you were|back to where you were|"
     "go back where you were|return|return to where you were|move back to where you were|revert|"
     "revert that|cancel that|scratch that|undo this|undo the last|"
     "undo your last move|take back the last one|go back to before|go back there|"
     "go back to where it was|come back to where you were|undo what you did|undo that move|"
     "undo that last one|undo that last move|reverse that last move|reverse the last move|reverse "
     "your last move|"
     "back where you were|go back again|put it back where it was|move it back where it was|"
     "back to where it was|return to where it was|go back to the last position|"
     "go back to your last position|go back to the previous position"},
    {Word::kChat, 0,
     "good|good job|well done|nice|nice one|perfect|great|excellent|yes|yeah|yep|yup|thats it|"
     "thats good|thats right|youre right|thats fine|fine|good robot|good work|keep going|go on|"
     "continue|carry on|go ahead|bravo|wonderful|awesome|cool|looks good|sorry|my bad|hello|hi|"
     "better|much better|thats better|almost|nearly|almost there|nearly there|youre almost there|"
     "youre nearly there|you got it|got it|there you go|up to you|its up to you|very good|"
     "thats perfect|thats great|thats nice|nice work|keep it up|keep up the good work|great job|"
     "just right|about right|thats about right|thats just right|you are right|quite right|"
     "youre doing great|youre doing fine|youre doing well|youre doing good|doing fine|doing "
     "great|good boy|thats correct|correct that|good enough|thats good enough|"
     "exactly|like that|just like that|thats the way|love it|brilliant|super|sweet|"
     "looking good|proceed|resume|thats ok|thats okay|all good|not bad|no problem|no worries|"
     "so far so good|good so far|never mind|nevermind|forget it|forget that|ignore that|disregard "
     "that|"
     "as you were"},
    // Idioms that would read as a motion.
    {Word::kUnknown, 0,
     "get it right|make it right|do it right|get right|make right|bring it back|hold left|"
     "keep left|keep right|hold right|come right|go right back|"
     "touch down|all the way|this way|that way|up to date|left over|left alone|left off|left out|"
     "right back|right side up|upside down|inside out|right hand|left hand|back and forth|"
     "up and down|left and right|side to side|from left to right|from right to left|back to front|"
     "to and fro|turn around|turn it around|turn it over|turn it off|turn it on|turn it up|turn it "
     "down|turn over|turn off|turn on|turn up|turn down|turn back|roll over|"
     "roll up|roll back|make up|make do|get up|get down|get over|get away with|"
     "get back|get back to|come up with|come over|come on|come off|break down|go over|go off|"
     "go through|go for|get to|push it|push up|push over|push off|step up|step down|step over|"
     "head down|head up|up for|down for|what way|which way|close by|close call|"
     "close one|a close|the close|as low|as high|dead|head over|head back|up there|down there|"
     "in there|over there|over here"},
};

struct Entry {
  Word word = Word::kUnknown;
  double value = 0;
};

constexpr std::size_t kLongestPhrase = 6;  // words

const std::unordered_map<std::string_view, Entry>& phrases() {
  static const auto* const all = [] {
    auto* map = new std::unordered_map<std::string_view, Entry>;
    for (const Group& group : kGroups) {
      std::string_view rest = group.phrases;
      while (!rest.empty()) {
        const std::size_t bar = std::min(rest.find('|'), rest.size());
        map->insert_or_assign(rest.substr(0, bar), Entry{group.word, group.value});
        rest.remove_prefix(std::min(bar + 1, rest.size()));
      }
    }
    return map;
  }();
  return *all;
}

// ---- words of a sentence ------------------------------------------------------------------------

constexpr std::string_view kClauseEnd = ";";  // as a word: no phrase runs across it

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || static_cast<unsigned char>(c) >= 0x80; }

// "stooop" is "stop": shouted words are drawn out, and only those that stop are guessed at.
std::string shortened(const std::string& word) {
  std::string once;
  std::size_t longest = 1, run = 1;
  for (const char c : word) {
    run = !once.empty() && once.back() == c ? run + 1 : 1;
    longest = std::max(longest, run);
    if (run == 1) once.push_back(c);
  }
  static constexpr std::string_view kShouts[] = {"stop", "halt", "whoa", "woah", "wait", "no"};
  const bool shout = std::find(std::begin(kShouts), std::end(kShouts), once) != std::end(kShouts);
  return longest >= 3 && shout ? once : word;
}

std::vector<std::string> words_of(std::string_view text) {
  std::vector<std::string> words;
  std::string word;
  const auto end_word = [&] {
    if (!word.empty()) words.push_back(shortened(word));
    word.clear();
  };
  const auto end_clause = [&] {
    end_word();
    if (!words.empty() && words.back() != kClauseEnd) words.emplace_back(kClauseEnd);
  };
  for (std::size_t i = 0; i < text.size(); ++i) {
    const std::string_view rest = text.substr(i);
    char c = text[i];
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    const char next = i + 1 < text.size() ? text[i + 1] : ' ';
    const bool in_number = !word.empty() && is_digit(word.back());
    if (rest.starts_with("\xe2\x80\x99") || rest.starts_with("\xe2\x80\x98")) {  // ’ ‘
      i += 2;
    } else if (rest.starts_with("\xe2\x80\xa6") || rest.starts_with("\xe2\x80\x93") ||
               rest.starts_with("\xe2\x80\x94")) {  // … – —
      end_clause();
      i += 2;
    } else if (rest.starts_with("\xc2\xbd")) {  // ½
      end_word();
      words.emplace_back("half");
      i += 1;
    } else if (rest.starts_with("\xc2\xb0")) {  // °
      end_word();
      words.emplace_back("degrees");
      i += 1;
    } else if (c == '\'' || c == '`') {
      // Left out: "don't" is "dont".
    } else if (is_letter(c)) {
      if (in_number) end_word();
      word.push_back(c);
    } else if (is_digit(c)) {
      if (!word.empty() && is_letter(word.back())) end_word();
      word.push_back(c);
    } else if ((c == '.' || c == '/' || c == ',') && is_digit(next) && (in_number || c == '.')) {
      if (!in_number) end_word();
      word.push_back(c);
    } else if (c == '%' || c == '&') {
      end_word();
      words.emplace_back(1, c);
    } else if (c == '"' && in_number) {
      end_word();
      words.emplace_back("\"");
    } else if (c == '+' || (c == '-' && word.empty() && is_digit(next))) {
      end_word();
      words.emplace_back(1, c);  // a sign: unknown
    } else if (c == '.' || c == ',' || c == ';' || c == ':' || c == '!' || c == '?' || c == '\n' ||
               c == '(' || c == ')') {
      end_clause();
    } else if (static_cast<unsigned char>(c) > ' ' && c != '-' && c != '"' && c != '_') {
      end_word();
      words.emplace_back(1, c);
    } else {
      end_word();
    }
  }
  end_clause();
  return words;
}

std::optional<double> number_in(std::string_view word) {
  const auto read = [](std::string_view digits) -> std::optional<double> {
    double value = 0;
    const auto end = digits.data() + digits.size();
    const auto result = std::from_chars(digits.data(), end, value, std::chars_format::fixed);
    if (digits.empty() || result.ec != std::errc() || result.ptr != end || !(value <= 1e6)) {
      return std::nullopt;
    }
    return value;
  };
  if (word.empty() || !(is_digit(word.front()) || word.front() == '.')) return std::nullopt;
  const std::size_t slash = word.find('/');
  if (slash == std::string_view::npos) return read(word);
  const std::optional<double> above = read(word.substr(0, slash));
  const std::optional<double> below = read(word.substr(slash + 1));
  if (!above || !below || !(*below > 0)) return std::nullopt;
  return *above / *below;
}

}  // namespace

Items items_of(std::string_view sentence) {
  const std::vector<std::string> words = words_of(sentence);
  Items items;
  const auto& known = phrases();
  for (std::size_t i = 0; i < words.size();) {
    if (words[i] == kClauseEnd) {
      items.push_back({Word::kBreak});
      ++i;
      continue;
    }
    if (const std::optional<double> number = number_in(words[i])) {
      items.push_back({Word::kNumber, *number});
      ++i;
      continue;
    }
    Item best;
    std::string phrase;
    for (std::size_t n = 1; n <= kLongestPhrase && i + n <= words.size(); ++n) {
      if (words[i + n - 1] == kClauseEnd) break;
      if (n > 1) phrase += ' ';
      phrase += words[i + n - 1];
      if (const auto found = known.find(phrase); found != known.end()) {
        best = {found->second.word, found->second.value, n};
      }
    }
    const bool behind_number = !items.empty() && (items.back().word == Word::kNumber ||
                                                  items.back().word == Word::kArticle);
    if (best.word == Word::kShortUnit) best.word = behind_number ? Word::kUnit : Word::kUnknown;
    items.push_back(best);
    i += best.words;
  }
  return items;
}

std::vector<std::string_view> vocabulary() {
  std::vector<std::string_view> all;
  for (const auto& [phrase, entry] : phrases()) all.push_back(phrase);
  std::sort(all.begin(), all.end());
  return all;
}

}  // namespace nudge
