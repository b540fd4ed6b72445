package dbc
import ("testing";"strings";"time";"fmt";"runtime")
func TestZZHostile(t *testing.T){
 n:=200000
 many:=func(f func(i int)string)string{var b strings.Builder; for i:=range n{b.WriteString(f(i))}; return b.String()}
 for name,text:=range map[string]string{
  "quotes":"VERSION \"\"\n"+strings.Repeat("\"",n),
  "escaped":"VERSION \"\"\n"+strings.Repeat("CM_ \\\"x\n",n),
  "escaped2":"VERSION \"\"\n"+strings.Repeat("CM_ \\\"x\n",n)+"\"x",
  "open":"VERSION \"\"\n"+strings.Repeat("CM_ \"x\n",n),
  "badbo":strings.Repeat("BO_ x\n",n),
  "oneline":strings.Repeat("BO_ x ",n),
  "signals":"BO_ 1 A: 8 X\n"+many(func(i int)string{return fmt.Sprintf("SG_ S%d : 0|8@1+ (1,0) [0|0] \"\" X\n",i)}),
  "mux":"BO_ 1 A: 8 X\nSG_ M M : 0|64@1+ (1,0) [0|0] \"\" X\n"+many(func(i int)string{return fmt.Sprintf("SG_ S%d m%d : 0|8@1+ (1,0) [0|0] \"\" X\nSG_MUL_VAL_ 1 S%d M %d-%d;\n",i,i,i,i,1<<40-i)}),
  "nested":"BO_ 1 A: 8 X\nSG_ M M : 0|64@1+ (1,0) [0|0] \"\" X\n"+many(func(i int)string{return fmt.Sprintf("SG_ S%d m%dM : 0|8@1+ (1,0) [0|0] \"\" X\nSG_MUL_VAL_ 1 S%d S%d %d-%d;\n",i,i,i,i-1,i,1<<40-i)}),
  "messages":many(func(i int)string{return fmt.Sprintf("BO_ %d A%d: 8 X\n",1<<31|i,i)}),
  "dups":many(func(i int)string{return fmt.Sprintf("BO_ %d A%d: 8 X\n",1<<31|i%2,i)}),
  "attrs":"BO_ 1 A: 8 X\n"+many(func(i int)string{return fmt.Sprintf("BA_DEF_ BO_ \"a%d\" INT 0 1;\nBA_ \"a%d\" BO_ 1 1;\n",i,i)}),
  "vals":"BO_ 1 A: 8 X\n SG_ S : 0|8@1+ (1,0) [0|0] \"\" X\nVAL_ 1 S "+many(func(i int)string{return fmt.Sprintf("%d \"x\" ",i)})+";",
  "nodes":"BU_: "+many(func(i int)string{return fmt.Sprintf("n%d\n",i)}),
  "semicolons":"BO_ 1 A: 8 X"+strings.Repeat(";",n),
  "names":"BO_ 1 A: 8 X\n SG_ S : 0|8@1+ (1,0) [0|0] \"\" "+strings.Repeat("a,",n),
 }{
  var m0,m1 runtime.MemStats; runtime.ReadMemStats(&m0)
  start:=time.Now(); db,err:=Parse("f",[]byte(text)); d:=time.Since(start)
  if err!=nil{t.Log(name,err);continue}
  start=time.Now(); dec:=Compile([]*Database{db},Options{}); d2:=time.Since(start)
  runtime.ReadMemStats(&m1)
  start=time.Now(); if p:=dec.Lookup(1,false);p!=nil{p.Decode(make([]byte,8),nil)}
  t.Log(name,len(text),d,d2,time.Since(start),(m1.TotalAlloc-m0.TotalAlloc)>>20,"MB")
 }
}
